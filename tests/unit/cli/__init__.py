"""Tests of the room `astbtd.cli`."""
