"""Types of the fixtures of the command line's tests, for annotations."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Answer(NamedTuple):
    """The exit code of a command and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]
"""Runs `astbtd` with the arguments given."""

Keep = Callable[..., Path]
"""Puts a crash into the store, with the files given by name; returns its directory."""

NOBODY = 65534
"""The ids of the user and the group nobody."""
