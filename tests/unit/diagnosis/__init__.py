"""Tests of the room `astbtd.diagnosis`."""
