"""Reads printed backtraces into threads and frames."""
