"""Tests of the package `astbtd.watch`."""
