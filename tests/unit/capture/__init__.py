"""Tests of what is asked of an Asterisk that runs."""
