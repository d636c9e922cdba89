"""The first sight of a directory that nobody has named."""

import errno
import os
from pathlib import Path

import pytest

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.core_filter import Finding
from astbtd.claims.finder import CoreFinder
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.claims.survey import survey
from astbtd.model.crash import DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory
from tests.support.builders import DeadProcess
from tests.support.finding import Queue, make_claims, make_finder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    directory = tmp_path / "archive"
    directory.mkdir()
    for pid in range(1, 5):
        core = directory / f"core.{pid}"
        core.write_bytes(DeadProcess(pid=pid, random=pid.to_bytes(16, "big")).core())
        os.utime(core, (1_700_000_000 + pid, 1_700_000_000 + pid))
    (directory / "notes.txt").write_text("not a core")
    return directory


def search(finder: CoreFinder, queue: Queue, archive: Path) -> list[OlderCoresLeft]:
    """Search a learned directory as a scan does: first sight, then every entry."""
    directory = WatchedDirectory(str(archive), is_learned=True)
    left: list[OlderCoresLeft] = []
    if finder.first_sight.is_new(str(archive)):
        left = list(survey(finder, directory, sorted(os.listdir(archive)), lambda: None))
    for entry in sorted(os.listdir(archive)):
        queue.add(finder.examine_entry(directory, entry, DiscoveredBy.SCAN))
    return left


def test_only_the_newest_core_is_claimed_and_by_copy(tmp_path: Path, archive: Path) -> None:
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)

    left = search(finder, queue, archive)

    assert left == [OlderCoresLeft(str(archive), 3)]
    assert [(claim.record.name, claim.record.copied, claim.record.leave) for claim in queue.claims] == [
        ("core.4", True, True)
    ]
    queue.close()


def test_a_core_that_could_not_be_examined_at_first_sight_is_not_moved_later(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)
    directory = WatchedDirectory(str(archive), is_learned=True)

    def fail(*_: object) -> Finding:
        raise OSError(errno.ENFILE, "Too many open files in system")

    with monkeypatch.context() as patched:
        patched.setattr("astbtd.claims.core_filter.CoreFilter.examine", fail)
        list(survey(finder, directory, sorted(os.listdir(archive)), lambda: None))
    for entry in os.listdir(archive):
        queue.add(finder.examine_entry(directory, entry, DiscoveredBy.SCAN))

    assert queue.claims == []


@pytest.mark.skipif(os.geteuid() != 0, reason="creates files of other users")
def test_few_cores_of_other_users_are_remembered(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.claims.survey._MAX_FOREIGN", 1)
    for core in archive.glob("core.*"):
        os.chown(core, 12345, 12345)
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)

    search(finder, queue, archive)

    assert len(queue.claims) == 3
    assert all(claim.record.foreign for claim in queue.claims)
    queue.close()


def test_later_scans_leave_the_older_cores_and_claim_new_ones(tmp_path: Path, archive: Path) -> None:
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)
    search(finder, queue, archive)
    (archive / "core.9").write_bytes(DeadProcess(pid=9, random=bytes(16)).core())
    os.rename(archive / "core.1", archive / "renamed")

    left = search(finder, queue, archive)

    assert left == []
    assert queue.names() == ["core.4", "core.9"]
    assert not queue.claims[1].record.leave
    queue.close()


def test_a_foreign_core_is_not_the_newest(tmp_path: Path, archive: Path) -> None:
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)
    finder.identity = PbxIdentity(frozenset((4321,)))

    left = search(finder, queue, archive)

    assert left == [OlderCoresLeft(str(archive), 4)]
    assert queue.claims == []


def test_an_empty_directory_is_recorded_as_searched(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)

    assert search(finder, queue, tmp_path / "empty") == []
    assert not finder.first_sight.is_new(str(tmp_path / "empty"))


def test_files_that_are_not_examined_because_their_owners_budget_is_used_up_are_left(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.claims.examinations._OWNER_SECONDS", 0.0)
    (archive / "core.0").write_bytes(DeadProcess().core()[:64])  # no core; it is examined first
    queue = Queue()
    finder = make_finder(make_claims(tmp_path), queue)

    left = search(finder, queue, archive)
    finder.examinations.renew_budgets()
    search(finder, queue, archive)

    assert left == [OlderCoresLeft(str(archive), 4)]
    assert queue.names() == []
    queue.close()
