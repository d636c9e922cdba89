"""The directories of the PBX that are remembered, and forgotten."""

import errno
from pathlib import Path

import pytest

from astbtd.sources import known_directories

DAY = 86400.0


def test_a_directory_is_remembered_after_its_process_is_gone(tmp_path: Path) -> None:
    memory = tmp_path / "directories"

    known_directories.remember(memory, ["/srv/pbx"], now=10 * DAY, keep=14 * DAY)

    assert known_directories.remember(memory, [], now=20 * DAY, keep=14 * DAY) == ["/srv/pbx"]


def test_a_directory_that_was_not_used_for_as_long_as_cores_are_kept_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "directories"
    known_directories.remember(memory, ["/srv/old"], now=10 * DAY, keep=14 * DAY)

    remembered = known_directories.remember(memory, ["/srv/new"], now=25 * DAY, keep=14 * DAY)

    assert remembered == ["/srv/new"]
    assert known_directories.read(memory, 25 * DAY) == {"/srv/new": 25 * DAY}


def test_a_file_that_cannot_be_read_once_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    memory = tmp_path / "directories"
    known_directories.remember(memory, ["/srv/old"], now=10 * DAY, keep=14 * DAY)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fail)
        assert known_directories.remember(memory, ["/srv/new"], now=11 * DAY, keep=14 * DAY) == ["/srv/new"]

    assert known_directories.read(memory, 11 * DAY) == {"/srv/old": 10 * DAY}


def test_a_directory_in_use_is_not_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "directories"
    for day in range(10, 40, 5):
        known_directories.remember(memory, ["/srv/pbx"], now=day * DAY, keep=14 * DAY)

    assert known_directories.remember(memory, [], now=45 * DAY, keep=14 * DAY) == ["/srv/pbx"]


def test_without_a_limit_for_cores_nothing_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "directories"
    known_directories.remember(memory, ["/srv/pbx"], now=DAY, keep=None)

    assert known_directories.remember(memory, [], now=5000 * DAY, keep=None) == ["/srv/pbx"]


def test_the_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    memory = tmp_path / "directories"
    memory.write_bytes(b"/srv/pbx\0/var/lib/asterisk")

    assert known_directories.read(memory, DAY) == {"/srv/pbx": DAY, "/var/lib/asterisk": DAY}


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    memory = tmp_path / "directories"
    memory.write_bytes(b'["\xff')

    assert known_directories.remember(memory, ["/srv/pbx"], now=DAY, keep=None) == ["/srv/pbx"]
