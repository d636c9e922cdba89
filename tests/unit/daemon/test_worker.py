"""The worker: newest crash first, and no core that fails stops the others."""

import os
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from astbtd.claims.claim import Claim
from astbtd.claims.finder import RenamedCore
from astbtd.daemon.worker import Work, Worker
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash, DiscoveredBy
from tests.support.builders import claim, crash

PATIENCE = 60.0
"""Seconds until a wait that should have ended long ago is given up."""


def happened(event: threading.Event) -> bool:
    return event.wait(PATIENCE)


@dataclass
class Journal:
    """The work of the tests: writes down what it was given, and what it heard of it."""

    processed: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    one_failed: threading.Event = field(default_factory=threading.Event)
    tidied: threading.Event = field(default_factory=threading.Event)
    broken: dict[int, Exception] = field(default_factory=dict)
    moves: list[tuple[str, list[int]]] = field(default_factory=list)
    one_followed: threading.Event = field(default_factory=threading.Event)

    def work(self, before: Callable[[Claim], None] = lambda _: None) -> Work:
        """The work; `before` is called with each claim when it is taken."""

        def process(taken: Claim) -> Crash:
            self.processed.append(taken.note.inode)
            before(taken)
            if error := self.broken.get(taken.note.inode):
                raise error
            return crash(pid=taken.note.inode)

        return Work(process, self.tidied.set, self._follow, self._hear_done, self._hear_failed)

    def _follow(self, move: RenamedCore) -> bool:
        """Moves are of the crash whose number is their id; each is written down with what was done by then."""
        self.moves.append((move.name, list(self.done)))
        settled = int(move.crash_id) in self.done
        if settled:
            self.one_followed.set()
        return settled

    def _hear_done(self, taken: Claim, _: Crash | None) -> None:
        self.done.append(taken.note.inode)

    def _hear_failed(self, what: str, error: Exception) -> None:
        self.failed.append((what, str(error)))
        self.one_failed.set()


@dataclass
class Gate:
    """Holds up the worker with whatever it takes, until told to go on."""

    taken: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: Claim) -> None:
        self.taken.set()
        self.go_on.wait(PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go_on.set()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(lambda: None)
    yield worker
    worker.stop()


def test_whatever_waits_is_processed_newest_crash_first(worker: Worker, journal: Journal) -> None:
    worker.use(journal.work(), deadline=PATIENCE)
    for minutes, pid in [(1, 1), (3, 3), (2, 2)]:
        worker.put(claim(minutes, pid))
    worker.tidy()

    worker.start()

    assert happened(journal.tidied)
    assert journal.processed == journal.done == [3, 2, 1]


def test_housekeeping_that_is_due_does_not_wait_for_the_queue_to_be_empty(
    worker: Worker, journal: Journal, gate: Gate
) -> None:
    worker.use(journal.work(gate), deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.tidy(first=True)

    worker.start()

    assert happened(gate.taken)
    assert journal.tidied.is_set()
    assert journal.done == []


def test_it_is_known_whether_another_core_waits_for_the_one_in_work(
    worker: Worker, journal: Journal, gate: Gate
) -> None:
    worker.use(journal.work(gate), deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(gate.taken)

    assert not worker.others_wait()
    worker.put(claim(2, pid=2))
    assert worker.others_wait()


def test_a_newer_crash_overtakes_those_that_wait_but_not_the_one_in_work(
    worker: Worker, journal: Journal, gate: Gate
) -> None:
    worker.use(journal.work(gate), deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(gate.taken)
    worker.put(claim(2, pid=2))
    worker.put(claim(3, pid=3))
    worker.tidy()

    gate.go_on.set()

    assert happened(journal.tidied)
    assert journal.processed == [1, 3, 2]


@pytest.mark.parametrize("error", [AstbtdError("no gdb"), OSError("no disk"), RuntimeError("a mistake of ours")])
def test_a_claim_that_fails_is_set_aside_and_does_not_stop_the_others(
    worker: Worker, journal: Journal, error: Exception
) -> None:
    journal.broken[2] = error
    worker.use(journal.work(), deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.put(claim(2, pid=2))
    worker.tidy()

    worker.start()

    assert happened(journal.tidied)
    assert journal.failed == [("/srv/core.2", str(error))]
    assert journal.done == [1]
    assert worker.waiting == 1


def test_what_was_set_aside_is_tried_again_when_asked_for(worker: Worker, journal: Journal) -> None:
    journal.broken[1] = AstbtdError("no room")
    worker.use(journal.work(), deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(journal.one_failed)

    journal.broken.clear()
    worker.retry()
    worker.tidy()

    assert happened(journal.tidied)
    assert (journal.processed, journal.done, worker.waiting) == ([1, 1], [1], 0)


def test_a_worker_that_sleeps_is_woken_by_work_of_either_kind(worker: Worker, journal: Journal) -> None:
    worker.use(journal.work(), deadline=PATIENCE)
    worker.start()

    for _ in range(10):
        journal.tidied.clear()
        worker.tidy()
        assert happened(journal.tidied)

    journal.broken[1] = AstbtdError("no room")
    worker.put(claim(1, pid=1))
    assert happened(journal.one_failed)


def test_housekeeping_that_fails_does_not_stop_the_work(worker: Worker, journal: Journal) -> None:
    def fail() -> None:
        raise AstbtdError("the store is gone")

    working = journal.work()
    worker.use(replace(working, tidy=fail), deadline=PATIENCE)
    worker.tidy()
    worker.start()
    assert happened(journal.one_failed)

    worker.use(working, deadline=PATIENCE)
    worker.put(claim(1, pid=1))
    worker.tidy()

    assert happened(journal.tidied)
    assert journal.failed == [("retention", "the store is gone")]
    assert journal.done == [1]


def test_a_move_waits_until_its_crash_is_recorded(worker: Worker, journal: Journal) -> None:
    worker.use(journal.work(), deadline=PATIENCE)
    worker.put(claim(2, pid=2))
    worker.put(claim(1, pid=1))
    worker.follow(RenamedCore("1", "/srv", "core.moved"))
    worker.start()

    assert happened(journal.one_followed)
    assert journal.moves == [("core.moved", []), ("core.moved", [2]), ("core.moved", [2, 1])]


def test_stopping_parks_what_is_in_work_and_returns_it_with_the_rest(worker: Worker, journal: Journal) -> None:
    taken = threading.Event()

    def until_stopped(_: Claim) -> None:
        taken.set()
        while True:
            os.sched_yield()
            worker.stopped()

    worker.use(journal.work(before=until_stopped), deadline=PATIENCE)
    worker.put(claim(2, pid=2))
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(taken)

    rest = worker.stop()

    assert sorted(left.note.inode for left in rest) == [1, 2]
    assert (journal.failed, journal.done) == ([], [])


def test_a_worker_that_never_started_returns_all_it_was_given() -> None:
    worker = Worker(lambda: None)
    worker.put(claim(1, pid=1))

    assert [left.note.inode for left in worker.stop()] == [1]


def test_it_tells_what_it_works_on_and_how_much_waits(worker: Worker, journal: Journal, gate: Gate) -> None:
    worker.use(journal.work(gate), deadline=PATIENCE)
    worker.put(claim(2, pid=2))
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(gate.taken)

    assert (worker.working_on, worker.waiting) == (claim(2, pid=2).id, 1)


@pytest.mark.parametrize(("deadline", "late"), [(-1.0, True), (1e9, False)])
def test_it_is_late_only_beyond_its_deadline(
    worker: Worker, journal: Journal, gate: Gate, deadline: float, late: bool
) -> None:
    worker.use(journal.work(gate), deadline)
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(gate.taken)

    assert worker.is_late is late


def test_work_that_shows_progress_has_its_whole_time_again(
    worker: Worker, journal: Journal, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("astbtd.daemon.worker.time", clock)
    worker.use(journal.work(gate), deadline=10.0)
    worker.put(claim(1, pid=1))
    worker.start()
    assert happened(gate.taken)

    clock.monotonic = lambda: 111.0
    assert worker.is_late
    worker.goes_on()
    assert not worker.is_late


def test_a_worker_without_work_is_never_late(worker: Worker, journal: Journal) -> None:
    worker.use(journal.work(), deadline=-1.0)

    assert not worker.is_late


def test_every_change_is_told(journal: Journal) -> None:
    seen: list[str | None] = []
    ended = threading.Event()

    def see() -> None:
        seen.append(watched.working_on)
        if len(seen) == 2:
            ended.set()

    watched = Worker(see)
    watched.use(journal.work(), deadline=PATIENCE)
    watched.put(claim(1, pid=1))
    watched.start()
    assert happened(ended)
    watched.stop()

    assert seen == [claim(1, pid=1).id, None]


def test_work_that_hangs_does_not_hold_up_the_end(
    worker: Worker, journal: Journal, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.daemon.worker._LAST_WORDS", 0.01)
    worker.use(journal.work(before=gate), PATIENCE)
    worker.put(claim(1))
    worker.put(claim(0))
    worker.start()
    assert happened(gate.taken)

    assert [left.id for left in worker.stop()] == [claim(0).id]


def test_housekeeping_that_failed_is_done_again_when_all_else_is(worker: Worker, journal: Journal) -> None:
    outcomes = [AstbtdError("no space left"), None]

    def tidy() -> None:
        if error := outcomes.pop(0):
            raise error
        journal.tidied.set()

    worker.use(replace(journal.work(), tidy=tidy), deadline=PATIENCE)
    worker.start()
    worker.tidy()
    assert happened(journal.one_failed)

    worker.retry()

    assert happened(journal.tidied)


def test_a_move_that_could_not_be_recorded_is_when_all_else_is_tried_again(worker: Worker, journal: Journal) -> None:
    outcomes = [AstbtdError("no space left"), None]

    def follow(_: RenamedCore) -> bool:
        if error := outcomes.pop(0):
            raise error
        journal.one_followed.set()
        return True

    worker.use(replace(journal.work(), follow=follow), deadline=PATIENCE)
    worker.start()
    worker.follow(RenamedCore("1", "/srv", "core"))
    assert happened(journal.one_failed)

    worker.retry()

    assert happened(journal.one_followed)


def test_of_what_lay_there_few_may_wait_and_of_what_was_just_written_many() -> None:
    worker = Worker(lambda: None)
    for _ in range(50):
        worker.put(claim())
    assert worker.is_running_dry

    for _ in range(50):
        worker.put(claim())

    assert not worker.is_running_dry
    assert (worker.has_room(DiscoveredBy.START), worker.has_room(DiscoveredBy.SCAN)) == (False, False)
    assert worker.has_room(DiscoveredBy.EVENT)


def test_no_more_may_wait_than_there_are_descriptors_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    worker = Worker(lambda: None)
    for _ in range(412):
        assert worker.has_room(DiscoveredBy.EVENT)
        worker.put(claim())

    assert not worker.has_room(DiscoveredBy.EVENT)
