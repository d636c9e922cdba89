"""Fixtures of the unit tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.store.record import RetentionFields
from astbtd.store.store import Store
from tests.support.builders import DeadProcess
from tests.support.fixture_types import Dump, OpenFile
from tests.support.transcripts import DOUBLE_FREE, OPTIMIZED, STRIPPED, TWO_THREADS


@pytest.fixture
def memory_file() -> Iterator[OpenFile]:
    """A function that creates a file in memory with the given content and returns its descriptor."""
    opened: list[int] = []

    def make(content: bytes) -> int:
        descriptor = os.memfd_create("test")
        opened.append(descriptor)
        os.write(descriptor, content)
        return descriptor

    yield make
    for descriptor in opened:
        os.close(descriptor)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory in which cores appear."""
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def dump(spool: Path) -> Dump:
    """A function that writes the core of a process into the spool, by default as `core`."""

    def dump(process: DeadProcess | None = None, name: str = "core") -> Path:
        path = spool / name
        path.write_bytes((process or DeadProcess()).core())
        return path

    return dump


@pytest.fixture(scope="session")
def two_threads() -> str:
    return TWO_THREADS


@pytest.fixture(scope="session")
def double_free() -> str:
    return DOUBLE_FREE


@pytest.fixture(scope="session")
def stripped() -> str:
    return STRIPPED


@pytest.fixture(scope="session")
def optimized() -> str:
    return OPTIMIZED


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the crashes whose records were read for retention."""
    ids: list[str] = []
    load_retention_fields = Store.load_retention_fields

    def recording(store: Store, crash_id: str) -> RetentionFields:
        ids.append(crash_id)
        return load_retention_fields(store, crash_id)

    monkeypatch.setattr(Store, "load_retention_fields", recording)
    return ids
