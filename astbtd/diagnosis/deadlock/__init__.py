"""Finds threads that wait for one another's locks."""
