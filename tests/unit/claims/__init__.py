"""Tests of the package `astbtd.claims`."""
