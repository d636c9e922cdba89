"""Tests of the room `astbtd.archive`."""
