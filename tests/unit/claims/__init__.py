"""Tests of the room `astbtd.intake`."""
