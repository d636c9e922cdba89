"""Types of the fixtures that are functions, for annotations in tests."""

from collections.abc import Callable
from pathlib import Path

Dump = Callable[..., Path]
"""Writes the core of a process into the spool."""

OpenFile = Callable[[bytes], int]
"""Makes a file in memory; the descriptor it is open at."""
