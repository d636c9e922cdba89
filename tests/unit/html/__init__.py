"""Tests of astbtd.html."""
