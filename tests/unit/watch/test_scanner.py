"""The scanner examines what events name, scans completely when necessary, and records what cannot be claimed."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreClaimed, CoreFinder, FinderResult
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.collectors.abrt import Abrt
from astbtd.sources.watched_directories import WatchedDirectory
from astbtd.watch.directory_watch import DirectoryCreated, DirectoryWatch, FileWritten
from astbtd.watch.fair_order import MAX_OTHERS
from astbtd.watch.inotify import Inotify
from astbtd.watch.scanner import DirectoryScanner
from tests.support.builders import DeadProcess
from tests.support.finding import Queue, make_finder
from tests.support.fixture_types import Dump


@pytest.fixture
def scanner(finder: CoreFinder, spool: Path) -> Iterator[DirectoryScanner]:
    """A scanner of the spool that was started."""
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])
    assert list(scanner.start(DiscoveredBy.START, quiet=True)) == []
    yield scanner
    scanner.close()


def make_scanner(finder: CoreFinder) -> DirectoryScanner:
    return DirectoryScanner(finder, DirectoryWatch(Inotify()), lambda _: True)


def process_events(scanner: DirectoryScanner, queue: Queue) -> None:
    """Process the events since the last call: inotify reports them when the change returns."""
    queue.add(scanner.process(scanner.read_hints()))


def dump_many(spool: Path, count: int) -> None:
    """Write cores named core.0, core.1, ...; the last one is the newest."""
    for number in range(count):
        path = spool / f"core.{number}"
        path.write_bytes(DeadProcess(pid=number + 1).core())
        os.utime(path, (0, 1_000_000 + number))


def test_a_core_that_was_written_is_claimed(scanner: DirectoryScanner, queue: Queue, dump: Dump) -> None:
    dump()

    process_events(scanner, queue)

    assert [claim.record.found for claim in queue.claims] == [DiscoveredBy.EVENT]


def test_cores_that_are_there_at_the_start_are_claimed_newest_first(
    finder: CoreFinder, queue: Queue, spool: Path
) -> None:
    dump_many(spool, 3)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])

    queue.add(scanner.start(DiscoveredBy.START, quiet=True))

    assert queue.names() == ["core.2", "core.1", "core.0"]
    assert {(claim.record.found, claim.record.quiet) for claim in queue.claims} == {(DiscoveredBy.START, True)}
    process_events(scanner, queue)
    assert len(queue.claims) == 3
    scanner.close()


def test_a_core_is_claimed_before_the_next_file_is_examined(scanner: DirectoryScanner, spool: Path) -> None:
    dump_many(spool, 2)

    results = scanner.rescan()
    assert isinstance(next(results), CoreClaimed)

    assert len([name for name in os.listdir(spool) if name.startswith(".astbtd.")]) == 1
    del results


def test_cores_are_postponed_while_the_queue_is_full_and_keep_their_reason(
    finder: CoreFinder, queue: Queue, spool: Path
) -> None:
    dump_many(spool, 3)
    queue.found = 2
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])
    queue.add(scanner.start(DiscoveredBy.START, quiet=True))
    assert queue.names() == ["core.2", "core.1"]
    assert scanner.has_postponed

    queue.add(scanner.recheck_postponed())
    assert len(queue.claims) == 2

    queue.found = 3
    (claim,) = queue.add(scanner.rescan())
    assert (claim.record.name, claim.record.found, claim.record.quiet) == ("core.0", DiscoveredBy.START, True)
    assert not scanner.has_postponed
    scanner.close()


def test_postponed_cores_are_claimed_when_there_is_capacity(
    scanner: DirectoryScanner, queue: Queue, spool: Path
) -> None:
    dump_many(spool, 2)
    queue.found = 1
    queue.add(scanner.rescan())
    queue.close()

    queue.add(scanner.recheck_postponed())

    assert queue.names() == ["core.0"]
    assert not scanner.has_postponed


def test_a_core_that_is_being_written_is_claimed_when_it_is_rechecked(
    scanner: DirectoryScanner, queue: Queue, dump: Dump
) -> None:
    path = dump()
    with path.open("ab"):
        process_events(scanner, queue)
        assert queue.claims == []
        assert scanner.has_incomplete

    queue.add(scanner.recheck_incomplete())

    assert queue.names() == ["core"]
    assert not scanner.has_incomplete


def test_a_core_that_cannot_be_claimed_is_a_problem_until_it_is_claimed(
    scanner: DirectoryScanner, queue: Queue, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("astbtd.lib.files.write_all", fail)
        process_events(scanner, queue)
    assert len(list(scanner.problems)) == 1
    assert next(iter(scanner.problems)).startswith(f"{path}: ")

    queue.add(scanner.rescan())

    assert queue.names() == ["core"]
    assert list(scanner.problems) == []


def test_a_problem_with_a_file_that_is_gone_is_forgotten_by_the_next_scan(
    scanner: DirectoryScanner, queue: Queue, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump()

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("astbtd.claims.core_filter.CoreFilter.examine", fail)
        process_events(scanner, queue)
    assert len(list(scanner.problems)) == 1

    path.unlink()
    queue.add(scanner.rescan())

    assert list(scanner.problems) == []


def test_hints_about_other_directories_are_ignored(scanner: DirectoryScanner, dump: Dump, tmp_path: Path) -> None:
    dump()

    assert list(scanner.process([FileWritten(str(tmp_path), "spool/core")])) == []


def test_hints_about_other_directories_are_returned(scanner: DirectoryScanner, spool: Path, tmp_path: Path) -> None:
    scanner.watch([WatchedDirectory(str(spool))], others=[str(tmp_path)])
    scanner.read_hints()

    (tmp_path / "asterisk.ctl").touch()

    assert scanner.read_hints() == [FileWritten(str(tmp_path), "asterisk.ctl")]
    assert scanner.watched == (str(spool),)


def test_a_new_directory_is_examined_only_in_the_directory_of_a_collector(
    scanner: DirectoryScanner, queue: Queue, spool: Path
) -> None:
    (spool / "ccpp-1").mkdir()
    (spool / "ccpp-1" / "coredump").write_bytes(DeadProcess().core())
    hint = DirectoryCreated(str(spool), "ccpp-1")
    assert queue.add(scanner.process([hint])) == []

    scanner.watch([WatchedDirectory(str(spool), collector=Abrt())])

    assert [claim.record.name for claim in queue.add(scanner.process([hint]))] == ["ccpp-1/coredump"]


def test_a_missing_directory_is_unwatched_until_it_exists(scanner: DirectoryScanner, queue: Queue, spool: Path) -> None:
    late = spool / "late"
    scanner.watch([WatchedDirectory(str(late))])
    assert (scanner.watched, scanner.unwatched) == ((), (str(late),))
    assert queue.add(scanner.rescan()) == []

    late.mkdir()
    (late / "core").write_bytes(DeadProcess().core())
    process_events(scanner, queue)

    assert (scanner.watched, scanner.unwatched) == ((str(late),), ())
    assert queue.names() == ["core"]


def test_a_directory_that_was_replaced_without_an_event_is_scanned(
    scanner: DirectoryScanner, queue: Queue, spool: Path, dump: Dump
) -> None:
    spool.rename(spool.with_name("away"))
    spool.mkdir()
    dump()

    scanner.renew_watches()
    process_events(scanner, queue)

    assert queue.names() == ["core"]


def test_an_entry_that_vanishes_during_a_scan_is_ignored(
    scanner: DirectoryScanner, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "listdir", lambda directory: ["vanished"] if directory == str(spool) else [])

    assert list(scanner.rescan()) == []


def test_the_claim_of_an_earlier_process_is_resumed(
    finder: CoreFinder, claims: Claims, queue: Queue, spool: Path, dump: Dump
) -> None:
    dump()
    earlier = make_finder(claims, queue)
    (claim,) = queue.add(earlier.examine_entry(WatchedDirectory(str(spool)), "core", DiscoveredBy.EVENT))
    queue.close()
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])

    queue.add(scanner.start(DiscoveredBy.START, quiet=False))

    assert [each.id for each in queue.claims] == [claim.id]
    scanner.close()


def test_a_core_that_vanished_before_it_was_copied_is_recorded_as_lost(
    claims: Claims, queue: Queue, spool: Path, dump: Dump
) -> None:
    path = dump()
    earlier = make_finder(claims, queue, CoreAction.LEAVE)
    queue.add(earlier.examine_entry(WatchedDirectory(str(spool)), "core", DiscoveredBy.EVENT))
    queue.close()
    path.unlink()
    scanner = make_scanner(make_finder(claims, queue, CoreAction.LEAVE))
    scanner.watch([WatchedDirectory(str(spool))])

    queue.add(scanner.start(DiscoveredBy.START, quiet=False))

    assert [claim.record.loss is not None for claim in queue.claims] == [True]
    scanner.close()


def test_new_settings_apply_to_the_next_scan(
    scanner: DirectoryScanner, queue: Queue, claims: Claims, dump: Dump
) -> None:
    dump(DeadProcess(mapped=("/opt/pbxd",)))
    process_events(scanner, queue)
    assert len(queue.refused) == 1

    scanner.update_settings(claims, ("pbxd",), CoreAction.MOVE)
    queue.add(scanner.rescan())

    assert queue.names() == ["core"]


@dataclass
class Examined:
    """The names of the entries that a finder has examined, in order. `before_next` is called before each of them."""

    names: list[str] = field(default_factory=list)
    before_next: Callable[[], None] = lambda: None


@pytest.fixture
def examined(finder: CoreFinder, monkeypatch: pytest.MonkeyPatch) -> Examined:
    examined, original = Examined(), finder.examine_entry

    def examine(directory: WatchedDirectory, entry: str, *arguments: Any, **options: Any) -> Iterator[FinderResult]:
        examined.before_next()
        examined.names.append(entry)
        return original(directory, entry, *arguments, **options)

    monkeypatch.setattr(finder, "examine_entry", examine)
    finder.identity = PbxIdentity(frozenset((0,)))
    return examined


def dump_as_another_user(spool: Path, count: int) -> None:
    """Write cores of another user named fake.0, fake.1, ..., dated in the future."""
    for number in range(count):
        path = spool / f"fake.{number}"
        path.write_bytes(DeadProcess(pid=1000 + number, uid=4321, random=number.to_bytes(16, "big")).core())
        os.chown(path, 4321, 4321)
        os.utime(path, (4_000_000_000, 4_000_000_000))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="creates files of other users")


@needs_root
def test_however_many_files_others_have_few_are_examined_before_the_next_core_of_the_pbx(
    finder: CoreFinder, queue: Queue, spool: Path, examined: Examined
) -> None:
    dump_many(spool, 3)
    dump_as_another_user(spool, 200)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])

    queue.add(scanner.start(DiscoveredBy.START, quiet=True))

    cores = [name for name in examined.names if name.startswith(("core.", "fake."))]
    own = [index for index, name in enumerate(cores) if name.startswith("core.")]
    assert own == [0, 1 + MAX_OTHERS, 2 + 2 * MAX_OTHERS]
    assert sum(claim.record.foreign for claim in queue.claims) == queue.foreign
    assert (scanner.has_postponed, scanner.has_postponed_foreign) == (False, True)
    scanner.close()


@needs_root
def test_a_core_that_the_pbx_writes_during_a_scan_is_examined_after_few_others(
    finder: CoreFinder, queue: Queue, spool: Path, examined: Examined
) -> None:
    dump_as_another_user(spool, 200)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])

    def crash_once() -> None:
        if len(examined.names) == 50:
            (spool / "core").write_bytes(DeadProcess(pid=7).core())

    examined.before_next = crash_once
    queue.add(scanner.start(DiscoveredBy.START, quiet=True))

    assert 50 < examined.names.index("core") <= 50 + MAX_OTHERS
    assert "core" in queue.names()
    assert scanner.has_unread_hints
    scanner.close()


@needs_root
def test_the_files_of_others_are_examined_when_theirs_are_processed(
    finder: CoreFinder, queue: Queue, spool: Path, examined: Examined
) -> None:
    dump_as_another_user(spool, 15)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool))])
    queue.add(scanner.start(DiscoveredBy.START, quiet=True))
    examined.names.clear()

    queue.add(scanner.recheck_postponed())
    assert examined.names == []
    for claim in queue.take_all():
        finder.claims.finish(claim, remove_original=False)
    queue.add(scanner.recheck_postponed())

    assert len(queue.claims) == 5
    scanner.close()


def test_in_a_learned_directory_an_event_does_not_come_before_the_first_scan(
    finder: CoreFinder, queue: Queue, spool: Path
) -> None:
    dump_many(spool, 3)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool), is_learned=True)])

    queue.add(scanner.process([FileWritten(str(spool), "core.0")]))
    assert queue.claims == []
    queue.add(scanner.rescan())

    assert queue.names() == ["core.2"]
    assert [left.count for left in queue.older] == [2]
    scanner.close()


def test_a_learned_directory_that_cannot_be_listed_at_first_is_surveyed_when_it_can(
    finder: CoreFinder, queue: Queue, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[str]:
        raise OSError(errno.ENFILE, "Too many open files in system")

    dump_many(spool, 3)
    scanner = make_scanner(finder)
    scanner.watch([WatchedDirectory(str(spool), is_learned=True)])
    with monkeypatch.context() as patched:
        patched.setattr("os.listdir", fail)
        queue.add(scanner.start(DiscoveredBy.START, quiet=False))
    assert any("Too many open files" in problem for problem in scanner.problems)

    queue.add(scanner.rescan())

    assert [(claim.record.name, claim.record.leave) for claim in queue.claims] == [("core.2", True)]
    assert list(scanner.problems) == []
    scanner.close()
