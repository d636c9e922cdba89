"""A store for the tests of this package."""

from pathlib import Path

import pytest

from astbtd.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "astbtd")
    store.prepare()
    return store
