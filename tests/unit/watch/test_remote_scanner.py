"""A remote scanner works in a thread of its own: it copies cores to the store, and nobody waits for it if it hangs."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.finder import CoreFinder
from astbtd.errors import NoRoom
from astbtd.lib.mounts import Mounts
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory
from astbtd.watch import remote_scanner
from astbtd.watch.polling import Polling
from astbtd.watch.remote_scanner import RemoteScanner
from astbtd.watch.result_queue import ResultQueue
from tests.support.builders import DeadProcess
from tests.support.finding import TIMEOUT, HangingQueue, Queue, make_finder
from tests.support.fixture_types import Dump

MOUNT = Mounts.current().mounts[0]


class Remote:
    """A remote scanner of the spool, and the main thread's side of its queue."""

    def __init__(self, finder: CoreFinder, queue: Queue, spool: Path) -> None:
        self.results = ResultQueue()
        self.queue = queue
        self.scanner = RemoteScanner(MOUNT, finder, lambda _: True, self.results)
        self.scanner.watch((WatchedDirectory(str(spool)),))

    def start(self) -> None:
        """Start scanning, and wait until the first scan is done."""
        assert self.scanner.start(DiscoveredBy.START, quiet=False).wait(TIMEOUT)
        self.queue.add(self.results.drain())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Handle results until the condition is true."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            readable, _, _ = select.select([self.results.fileno()], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"waited in vain; state: {self.scanner.state}"
            self.queue.add(self.results.drain())

    def wait_for_claim(self) -> Claim:
        """Wait for a claim, and take it out of the queue: the caller finishes it."""
        self.wait_until(lambda: bool(self.queue.claims))
        return self.queue.claims.pop()

    def is_running(self) -> bool:
        return any(thread.name == f"remote scanner {MOUNT.point}" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_scanner, "_INTERVAL", 0.02)
    monkeypatch.setattr(remote_scanner, "Polling", lambda: Polling(0.02))


@pytest.fixture
def remote(finder: CoreFinder, queue: Queue, spool: Path) -> Iterator[Remote]:
    remote = Remote(finder, queue, spool)
    yield remote
    remote.scanner.stop(TIMEOUT)
    assert not remote.is_running()


def test_a_core_that_is_there_at_the_start_is_claimed_and_copied_to_the_store(
    remote: Remote, claims: Claims, dump: Dump
) -> None:
    path = dump()

    remote.start()

    (claim,) = remote.queue.claims
    assert claim.record.found is DiscoveredBy.START
    assert path.stat().st_nlink == 2
    path.write_bytes(b"")
    assert os.pread(claim.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert (claims.incoming / f"{claim.id}.core").exists()


def test_a_core_that_is_written_later_is_claimed(remote: Remote, dump: Dump) -> None:
    remote.start()

    dump()

    claim = remote.wait_for_claim()
    assert claim.record.found is DiscoveredBy.EVENT
    claim.close()


def test_refused_and_renamed_files_are_reported(remote: Remote, dump: Dump, spool: Path) -> None:
    path = dump()
    dump(DeadProcess(pid=5000, mapped=("/usr/bin/perl",)), "core.perl")
    remote.start()

    path.rename(spool / "core.renamed")

    remote.wait_until(lambda: bool(remote.queue.renamed))
    assert [refused.path for refused in remote.queue.refused] == [str(spool / "core.perl")]


def test_a_core_that_is_being_written_is_claimed_when_it_is_complete(remote: Remote, dump: Dump) -> None:
    with dump().open("ab"):
        remote.start()
        assert remote.queue.claims == []

    remote.wait_for_claim().close()


def test_a_claim_is_finished_in_the_thread_of_the_scanner(
    remote: Remote, claims: Claims, dump: Dump, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    finish_here = Claims.finish_here

    def record_thread(self: Claims, claim: Claim, *, remove_original: bool) -> None:
        threads.append(threading.current_thread().name)
        finish_here(self, claim, remove_original=remove_original)

    monkeypatch.setattr(Claims, "finish_here", record_thread)
    dump()
    remote.start()
    (claim,) = remote.queue.take_all()

    claims.finish(claim, remove_original=True)
    remote.start()  # requests are carried out in order

    assert threads == [f"remote scanner {MOUNT.point}"]
    assert os.listdir(spool) == []
    assert os.listdir(claims.incoming) == []


def test_a_claim_that_cannot_be_finished_is_resumed_by_a_rescan(
    remote: Remote, claims: Claims, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump()
    remote.start()
    (claim,) = remote.queue.take_all()

    def fail(*_: object, **__: object) -> None:
        raise OSError("the server is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "finish_here", fail)
        claims.finish(claim, remove_original=True)
        remote.wait_until(lambda: "the server is gone" in " ".join(remote.scanner.state.problems))

    remote.scanner.rescan()

    resumed = remote.wait_for_claim()
    assert resumed.id == claim.id
    resumed.close()


def test_a_core_that_cannot_be_copied_is_a_problem_until_a_rescan_succeeds(
    remote: Remote, claims: Claims, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump()

    def fail(*_: object, **__: object) -> None:
        raise NoRoom("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "copy_to_store", fail)
        remote.start()
    assert remote.queue.claims == []
    assert "the disk is full" in " ".join(remote.scanner.state.problems)
    assert len(list(claims.ids())) == 1

    remote.scanner.rescan()

    remote.wait_for_claim().close()
    remote.wait_until(lambda: remote.scanner.state.problems == ())


def test_an_internal_error_does_not_end_the_thread(
    remote: Remote, finder: CoreFinder, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("our mistake")

    with monkeypatch.context() as patched:
        patched.setattr(finder, "examine_entry", fail)
        dump()
        remote.start()
    assert "ZeroDivisionError: our mistake" in " ".join(remote.scanner.state.problems)

    remote.scanner.rescan()

    remote.wait_for_claim().close()


def test_new_settings_are_used_for_the_next_scan(remote: Remote, claims: Claims, dump: Dump) -> None:
    dump(DeadProcess(mapped=("/opt/pbxd",)))
    remote.start()
    assert remote.queue.claims == []

    remote.scanner.update_settings(claims, ("pbxd",), CoreAction.LEAVE)
    remote.scanner.rescan()

    claim = remote.wait_for_claim()
    assert claim.record.copied
    claim.close()


def test_the_state_says_which_directories_are_watched(remote: Remote, spool: Path) -> None:
    remote.start()
    assert (remote.scanner.state.watched, remote.scanner.state.unwatched) == ((str(spool),), ())

    spool.rmdir()
    remote.wait_until(lambda: remote.scanner.state.unwatched == (str(spool),))

    spool.mkdir()
    remote.wait_until(lambda: remote.scanner.state.watched == (str(spool),))


def test_a_retired_scanner_ends_when_its_claims_are_finished(remote: Remote, claims: Claims, dump: Dump) -> None:
    dump()
    remote.start()
    (claim,) = remote.queue.take_all()

    remote.scanner.retire()
    assert remote.is_running()
    claims.finish(claim, remove_original=True)
    (thread,) = [each for each in threading.enumerate() if each.name == f"remote scanner {MOUNT.point}"]
    thread.join(TIMEOUT)

    assert not remote.is_running()


@pytest.fixture
def hanging(claims: Claims, spool: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A scanner that hangs while it examines a core."""
    monkeypatch.setattr(remote_scanner, "_TIMEOUT", 0.0)
    dump()
    queue = HangingQueue()
    remote = Remote(make_finder(claims, queue), queue, spool)
    remote.scanner.start(DiscoveredBy.START, quiet=False)
    assert queue.is_asked.wait(TIMEOUT)
    yield remote
    queue.answers.set()
    remote.scanner.stop(TIMEOUT)
    queue.close()


def test_a_file_system_that_does_not_answer_is_unresponsive(hanging: Remote) -> None:
    assert hanging.scanner.unresponsive_since is not None


def test_nobody_waits_for_a_scanner_that_hangs(hanging: Remote, claims: Claims) -> None:
    hanging.scanner.rescan()
    hanging.scanner.watch(())
    hanging.scanner.update_settings(claims, ("asterisk",), CoreAction.MOVE)
    hanging.scanner.retire()
    hanging.scanner.stop(0.0)

    assert hanging.is_running()


def test_a_scanner_continues_where_it_hung(hanging: Remote) -> None:
    assert isinstance(hanging.queue, HangingQueue)
    hanging.queue.answers.set()

    hanging.wait_for_claim().close()

    hanging.wait_until(lambda: hanging.scanner.state.watched != ())
    hanging.scanner.stop(TIMEOUT)
    assert hanging.scanner.unresponsive_since is None


def test_a_responsive_file_system_is_not_reported(remote: Remote) -> None:
    remote.start()
    remote.scanner._heartbeat()

    assert remote.scanner.unresponsive_since is None
