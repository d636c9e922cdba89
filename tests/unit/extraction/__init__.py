"""Tests of the room `astbtd.extraction`."""
