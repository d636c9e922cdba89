"""The caches of the finder stay small, and forget files that have changed."""

import os
from pathlib import Path

import pytest

from astbtd.claims import tracked_files
from astbtd.claims.tracked_files import ClaimedIdentities, Fields, FileCache, IncompleteCore, IncompleteCores
from astbtd.sources.watched_directories import WatchedDirectory
from tests.support.finding import count_descriptors


def status(path: Path, content: bytes = b"core") -> os.stat_result:
    path.write_bytes(content)
    return path.stat()


def test_a_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    cache: FileCache[str] = FileCache()
    before = status(tmp_path / "core")
    cache.add(before, "examined")
    assert cache.get(before) == "examined"

    assert status(tmp_path / "core", b"longer") not in cache


def test_a_verdict_is_forgotten_when_links_or_attributes_of_its_file_change(tmp_path: Path) -> None:
    verdicts: FileCache[bool] = FileCache()
    claimed: FileCache[bool] = FileCache(fields=Fields.CONTENT)
    before = status(tmp_path / "core")
    verdicts.add(before, True)
    claimed.add(before, True)

    (tmp_path / "other").hardlink_to(tmp_path / "core")

    now = (tmp_path / "core").stat()
    assert now not in verdicts
    assert now in claimed


def test_the_files_that_were_added_first_are_forgotten_if_there_are_too_many(tmp_path: Path) -> None:
    cache: FileCache[bool] = FileCache(2)
    files = [status(tmp_path / str(number)) for number in range(3)]
    for each in files:
        cache.add(each, True)

    assert [each in cache for each in files] == [False, True, True]


def test_a_file_can_be_forgotten(tmp_path: Path) -> None:
    cache: FileCache[bool] = FileCache()
    file = status(tmp_path / "core")
    cache.add(file, True)

    cache.remove(file)
    cache.remove(file)

    assert file not in cache


def test_only_some_incomplete_cores_are_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_files, "_MAX_OPEN", 1)
    cores = IncompleteCores()
    before = count_descriptors()
    for name in ("first", "second"):
        (tmp_path / name).touch()
        opened = os.open(tmp_path / name, os.O_RDONLY)
        cores.hold(IncompleteCore(WatchedDirectory(str(tmp_path)), name, opened))

    assert count_descriptors() == before + 1
    assert [core.descriptor is None for core in cores.all()] == [False, True]
    cores.close()
    assert count_descriptors() == before
    assert not cores


def test_an_identity_is_reserved_once_until_it_is_released() -> None:
    identities = ClaimedIdentities(lambda _: set())

    assert identities.reserve("a")
    assert not identities.reserve("a")
    identities.release("a")
    assert identities.reserve("a")
    identities.add("b")
    assert not identities.reserve("b")
    assert identities.contains_any({"b", "c"})
    assert not identities.contains_any({"c"})


def test_an_identity_that_was_collected_is_not_reserved() -> None:
    collected: set[str] = set()
    identities = ClaimedIdentities(collected.intersection)
    assert identities.reserve("a")

    collected.add("a")

    assert not identities.reserve("a")
    assert identities.contains_any({"a"})
