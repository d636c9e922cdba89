"""Tests of `astbtd.readiness`."""
