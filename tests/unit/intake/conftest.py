"""Cores on disk, and the claims on them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import DeadProcess

Dump = Callable[..., Path]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory that cores appear in."""
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def dump(spool: Path) -> Dump:
    """Writes the core of a process into the spool, as `core` unless named otherwise."""

    def dump(process: DeadProcess | None = None, name: str = "core") -> Path:
        path = spool / name
        path.write_bytes((process or DeadProcess()).core())
        return path

    return dump
