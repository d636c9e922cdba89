"""Parses printed backtraces into threads and frames."""
