"""Tests of `astbtd.capture`."""
