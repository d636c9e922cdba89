"""Fixtures of the tests of the pipeline."""

from pathlib import Path

import pytest

from astbtd.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store
