"""Hostile input is read or refused, never more; `make fuzz` goes on where `make test` stops."""
