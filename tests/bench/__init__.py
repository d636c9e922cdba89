"""Measures astbtd; `make bench` prints the table that docs/performance.md explains. Nothing here is a test."""
