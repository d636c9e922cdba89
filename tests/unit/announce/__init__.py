"""Tests of the room `astbtd.announce`."""
