"""Types of the fixtures that are functions, for annotations in tests."""

from collections.abc import Callable
from pathlib import Path

Dump = Callable[..., Path]
"""Writes the core of a process into the spool."""

OpenFile = Callable[[bytes], int]
"""Creates a file in memory and returns its descriptor."""

JournalEntry = tuple[str, int, dict[str, str]]
"""A journal entry as `systemd.send` gets it: message, priority, fields."""
