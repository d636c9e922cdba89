"""Exchanging directories: all or nothing."""

import ctypes
import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from astbtd.lib.exchange import exchange


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        (directory / directory.name).touch()
    return one, other


def test_two_directories_change_places(two: tuple[Path, Path]) -> None:
    assert exchange(*two)

    assert [[path.name for path in directory.iterdir()] for directory in two] == [["other"], ["one"]]


def test_a_missing_directory_is_an_error(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        exchange(two[0], tmp_path / "missing")


def test_a_file_system_that_cannot_do_it_is_reported(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(renameat2=lambda *_: -1))
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EINVAL)

    assert not exchange(*two)
