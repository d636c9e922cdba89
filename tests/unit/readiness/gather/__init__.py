"""Tests of `astbtd.readiness.gather`."""
