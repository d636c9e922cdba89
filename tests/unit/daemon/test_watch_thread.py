"""The watch thread carries out requests, reports its state, and ends when it is asked to, or by an error."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.finder import CoreFinder, FinderResult
from astbtd.daemon import watch_thread
from astbtd.daemon.watch_thread import RecheckPostponed, Rescan, UpdateSettings, WatchThread
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.settings import Settings, WatchSettings
from astbtd.sources import watched_directories
from astbtd.sources.watched_directories import WatchedDirectories
from astbtd.watch.supervisor import WatchSupervisor
from tests.support.finding import TIMEOUT, make_claims
from tests.support.fixture_types import Dump


@dataclass
class Room:
    """A queue with room for everything, or for nothing."""

    has: bool = True

    def has_room(self, _: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:  # noqa: ARG002
        return self.has


@dataclass
class Bench:
    """A watch thread on real directories, and what it has reported."""

    settings: Settings
    room: Room
    supervisor: WatchSupervisor
    thread: WatchThread = field(init=False)
    results: list[FinderResult] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = WatchThread(
            self.supervisor,
            self.results.append,
            self._on_change,
            before_rescan=lambda: self.calls.append("before the rescan"),
            on_started=lambda: self.calls.append("started"),
        )

    def start(self) -> None:
        self.thread.start(quiet=False)
        self.wait_for(lambda: self.thread.state.is_started)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT)

    def _on_change(self) -> None:
        with self.changed:
            self.changed.notify_all()


@pytest.fixture
def bench(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    def find_current(settings: Settings, _: Path) -> WatchedDirectories:
        identity = PbxIdentity(frozenset((0, os.geteuid())))
        return WatchedDirectories(core_directories=settings.watch.directories, identity=identity)

    monkeypatch.setattr(watched_directories, "find_current", find_current)
    settings = Settings(watch=WatchSettings(directories=(str(spool),)))
    room = Room()
    claims = make_claims(tmp_path)
    finder = CoreFinder(claims, lambda _: set(), settings.asterisk.executables, CoreAction.MOVE, room)
    bench = Bench(settings, room, WatchSupervisor(settings, finder, tmp_path / "directories"))
    yield bench
    bench.thread.stop()


def test_the_first_scan_is_done_before_the_thread_counts_as_started(bench: Bench, dump: Dump) -> None:
    dump()

    bench.start()

    assert len(bench.results) == 1
    assert bench.calls == ["started"]
    assert bench.thread.state.watched == bench.settings.watch.directories


def test_requests_are_carried_out_and_counted(bench: Bench, tmp_path: Path) -> None:
    bench.start()

    bench.thread.request(Rescan())
    bench.wait_for(lambda: bench.thread.state.rescans == 1)
    other = Settings(watch=WatchSettings(directories=(str(tmp_path),)))
    bench.thread.request(UpdateSettings(other, make_claims(tmp_path)))
    bench.wait_for(lambda: bench.thread.state.updates == 1)

    assert bench.calls == ["started", "before the rescan"]
    assert bench.thread.state.watched == (str(tmp_path),)


def test_cores_for_which_there_was_no_room_are_claimed_on_request(bench: Bench, dump: Dump) -> None:
    bench.room.has = False
    dump()
    bench.start()
    assert bench.thread.state.has_postponed

    bench.room.has = True
    bench.thread.request(RecheckPostponed())
    bench.wait_for(lambda: not bench.thread.state.has_postponed)

    assert len(bench.results) == 1


def test_an_error_ends_the_thread_and_is_raised_in_the_main_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: WatchSupervisor) -> Iterator[FinderResult]:
        raise RuntimeError("broken")

    monkeypatch.setattr(WatchSupervisor, "rescan", fail)
    bench.start()
    bench.thread.raise_error()

    bench.thread.request(Rescan())
    with bench.changed:
        bench.changed.wait_for(lambda: bench.thread._error is not None, TIMEOUT)

    with pytest.raises(RuntimeError, match="broken"):
        bench.thread.raise_error()


def test_a_thread_that_works_on_one_file_for_too_long_is_overdue_and_can_be_left_behind(
    bench: Bench, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    examining, release = threading.Event(), threading.Event()

    def hang(_: object, __: object) -> object:
        examining.set()
        release.wait(TIMEOUT)
        raise OSError("interrupted")

    monkeypatch.setattr("astbtd.claims.core_judge.CoreJudge.judge", hang)
    monkeypatch.setattr(watch_thread, "_STOP_TIMEOUT", 0.0)
    bench.start()

    dump()
    assert examining.wait(TIMEOUT)

    assert not bench.thread.is_overdue
    monkeypatch.setattr(watch_thread, "_TIME_LIMIT", -1.0)
    assert bench.thread.is_overdue
    bench.thread.stop()
    release.set()
