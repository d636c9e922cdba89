"""Tests of `astbtd.extraction`."""
