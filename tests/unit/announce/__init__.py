"""Tests of `astbtd.announce`."""
