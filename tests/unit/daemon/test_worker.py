"""The worker: newest crash first, no claim is ever lost, and a core that fails does not stop the others."""

import os
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed
from astbtd.daemon.jobs import ClaimProcessed, Job, ProcessClaim
from astbtd.daemon.worker import Worker, _ClaimState
from astbtd.errors import AstbtdError
from astbtd.model.crash import DiscoveredBy
from tests.support.builders import claim

TIMEOUT = 60.0
"""Seconds until a wait that should have ended long ago is given up."""


def is_set(event: threading.Event) -> bool:
    return event.wait(TIMEOUT)


def nothing(_: Claim) -> None:
    """A hook that does nothing."""


@dataclass
class Handler:
    """A job handler that records its calls. Crashes are identified by the number of their inode."""

    before: Callable[[Claim], None] = nothing
    started: list[int] = field(default_factory=list)
    processed: list[int] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    maintained: threading.Event = field(default_factory=threading.Event)
    idle: list[bool] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)
    maintenance_errors: list[Exception] = field(default_factory=list)
    rename_errors: list[Exception] = field(default_factory=list)
    renames: list[tuple[str, list[int]]] = field(default_factory=list)
    renamed: threading.Event = field(default_factory=threading.Event)
    is_urgent: bool = False

    def process_claim(self, claim: Claim) -> ClaimProcessed:
        number = claim.record.inode
        self.started.append(number)
        self.before(claim)
        if error := self.errors.get(number):
            raise error
        self.processed.append(number)
        return ClaimProcessed(maintenance_is_urgent=self.is_urgent)

    def record_rename(self, rename: CoreRenamed) -> bool:
        """Record each attempt with the crashes processed by then. The crash id is the number of the crash."""
        if self.rename_errors:
            raise self.rename_errors.pop()
        self.renames.append((rename.name, list(self.processed)))
        recorded = int(rename.crash_id.split("-")[1]) in self.processed
        if recorded:
            self.renamed.set()
        return recorded

    def run_maintenance(self, *, idle: bool) -> None:
        if self.maintenance_errors:
            raise self.maintenance_errors.pop()
        self.idle.append(idle)
        self.maintained.set()

    def report_failure(self, job: Job, error: Exception) -> None:
        what = job.claim.record.path if isinstance(job, ProcessClaim) else type(job).__name__
        self.failures.append((what, str(error)))
        self.failed.set()


@dataclass
class Gate:
    """A hook that blocks the worker until the gate is opened."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: Claim) -> None:
        self.reached.set()
        self.opened.wait(TIMEOUT)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def worker(handler: Handler) -> Iterator[Worker]:
    worker = Worker(lambda: None)
    worker.configure(handler, TIMEOUT)
    yield worker
    worker.stop()


def start_and_block(worker: Worker, handler: Handler, gate: Gate, claim: Claim) -> None:
    """Start the worker and wait until it is blocked in the processing of `claim`."""
    handler.before = gate
    worker.submit(claim)
    worker.start()
    assert is_set(gate.reached)


def test_claims_are_processed_newest_crash_first(worker: Worker, handler: Handler) -> None:
    for minutes, pid in [(1, 1), (3, 3), (2, 2)]:
        worker.submit(claim(minutes, pid))

    worker.start()

    assert is_set(handler.maintained)
    assert handler.started == handler.processed == [3, 2, 1]


def test_urgent_maintenance_runs_before_queued_claims(worker: Worker, handler: Handler, gate: Gate) -> None:
    worker.request_maintenance(urgent=True)

    start_and_block(worker, handler, gate, claim(1, pid=1))

    assert handler.idle == [False]
    assert handler.processed == []


def test_maintenance_that_became_urgent_runs_before_the_next_claim(
    worker: Worker, handler: Handler, gate: Gate
) -> None:
    handler.is_urgent = True
    handler.before = lambda each: gate(each) if each.record.inode == 1 else None
    worker.submit(claim(2, pid=2))
    worker.submit(claim(1, pid=1))

    worker.start()

    assert is_set(gate.reached)
    assert (handler.processed, handler.idle) == ([2], [False])


def test_requesting_maintenance_again_keeps_it_urgent(worker: Worker, handler: Handler, gate: Gate) -> None:
    worker.request_maintenance(urgent=True)
    worker.request_maintenance()

    start_and_block(worker, handler, gate, claim(1, pid=1))

    assert handler.idle == [False]


def test_maintenance_is_idle_only_if_nothing_is_pending_or_expected(worker: Worker, handler: Handler) -> None:
    worker.expect_more(True)
    worker.request_maintenance()
    worker.start()
    assert is_set(handler.maintained)
    handler.maintained.clear()

    worker.expect_more(False)

    assert is_set(handler.maintained)
    assert handler.idle == [False, True]


def test_a_deferred_claim_keeps_maintenance_from_being_idle(worker: Worker, handler: Handler) -> None:
    handler.errors[1] = AstbtdError("no room")
    worker.submit(claim(1, pid=1))
    worker.start()
    assert is_set(handler.failed)

    worker.request_maintenance()

    assert is_set(handler.maintained)
    assert handler.idle == [False]


def test_has_queued_tells_whether_a_claim_follows_the_current_one(worker: Worker, handler: Handler, gate: Gate) -> None:
    start_and_block(worker, handler, gate, claim(1, pid=1))

    assert not worker.has_queued()
    worker.submit(claim(2, pid=2))
    assert worker.has_queued()


def test_a_newer_crash_overtakes_queued_claims_but_not_the_current_one(
    worker: Worker, handler: Handler, gate: Gate
) -> None:
    start_and_block(worker, handler, gate, claim(1, pid=1))
    worker.submit(claim(2, pid=2))
    worker.submit(claim(3, pid=3))

    gate.opened.set()

    assert is_set(handler.maintained)
    assert handler.started == [1, 3, 2]


@pytest.mark.parametrize("error", [AstbtdError("no gdb"), OSError("no disk"), RuntimeError("an internal error")])
def test_a_claim_that_fails_is_deferred_and_does_not_stop_the_others(
    worker: Worker, handler: Handler, error: Exception
) -> None:
    handler.errors[2] = error
    worker.submit(claim(1, pid=1))
    worker.submit(claim(2, pid=2))

    worker.start()

    assert is_set(handler.maintained)
    assert handler.failures == [("/srv/core.2", str(error))]
    assert handler.processed == [1]
    assert worker.pending == 1


def test_a_deferred_claim_is_processed_after_retry(worker: Worker, handler: Handler) -> None:
    handler.errors[1] = AstbtdError("no room")
    worker.submit(claim(1, pid=1))
    worker.start()
    assert is_set(handler.failed)

    handler.errors.clear()
    worker.retry_deferred()

    assert is_set(handler.maintained)
    assert (handler.started, handler.processed, worker.pending) == ([1, 1], [1], 0)


def test_a_sleeping_worker_is_woken_by_each_kind_of_job(worker: Worker, handler: Handler) -> None:
    worker.start()

    for _ in range(10):
        handler.maintained.clear()
        worker.request_maintenance()
        assert is_set(handler.maintained)

    handler.errors[1] = AstbtdError("no room")
    worker.submit(claim(1, pid=1))
    assert is_set(handler.failed)
    handler.processed.append(7)
    worker.submit_rename(CoreRenamed("x-7-x", "/srv", "core.renamed", "f1"))
    assert is_set(handler.renamed)


def test_maintenance_that_fails_does_not_stop_the_worker(worker: Worker, handler: Handler) -> None:
    handler.maintenance_errors = [AstbtdError("the store is gone")]
    worker.request_maintenance()
    worker.start()
    assert is_set(handler.failed)

    worker.submit(claim(1, pid=1))

    assert is_set(handler.maintained)
    assert handler.failures == [("RunMaintenance", "the store is gone")]
    assert handler.processed == [1]


def test_maintenance_that_failed_runs_again_after_retry(worker: Worker, handler: Handler) -> None:
    handler.maintenance_errors = [AstbtdError("no space left")]
    worker.request_maintenance()
    worker.start()
    assert is_set(handler.failed)

    worker.retry_deferred()

    assert is_set(handler.maintained)


def test_a_rename_is_recorded_once_its_crash_is(worker: Worker, handler: Handler) -> None:
    worker.submit(claim(2, pid=2))
    worker.submit(claim(1, pid=1))
    worker.submit_rename(CoreRenamed(claim(1, pid=1).id, "/srv", "core.renamed", "f1"))
    worker.start()

    assert is_set(handler.renamed)
    assert handler.renames == [("core.renamed", []), ("core.renamed", [2, 1])]


def test_each_of_many_renames_is_tried_before_and_after_its_own_claim_only(worker: Worker, handler: Handler) -> None:
    claims = [claim(number, pid=number) for number in range(100)]
    for each in claims:
        worker.submit(each)
        worker.submit_rename(CoreRenamed(each.id, "/srv", f"core.{each.record.inode}", "f1"))

    worker.start()

    assert is_set(handler.maintained)
    assert len(handler.processed) == 100
    assert len(handler.renames) == 200


def test_a_claim_that_is_marked_as_being_processed_by_no_job_is_queued_again(worker: Worker, handler: Handler) -> None:
    forgotten = claim(1, pid=1)
    worker.submit(forgotten)
    worker._claims[forgotten] = _ClaimState.PROCESSING

    (sentence,) = worker.recover()

    assert "neither queued nor processed" in sentence
    assert worker.recover() == []
    worker.start()
    assert is_set(handler.maintained)
    assert handler.processed == [1]


def test_a_claim_that_is_being_processed_is_not_queued_again(worker: Worker, handler: Handler, gate: Gate) -> None:
    start_and_block(worker, handler, gate, claim(1, pid=1))

    assert worker.recover() == []

    gate.opened.set()
    worker.request_maintenance()
    assert is_set(handler.maintained)
    assert handler.processed == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_thread_that_has_ended_is_started_again(handler: Handler) -> None:
    failures = [RuntimeError("the descriptor to wake the loop is closed")]

    def on_change() -> None:
        if failures:
            raise failures.pop()

    watched = Worker(on_change)
    watched.configure(handler, TIMEOUT)
    watched.submit(claim(1, pid=1))
    watched.start()
    watched._thread.join(TIMEOUT)

    sentences = watched.recover()

    assert len(sentences) == 2
    assert is_set(handler.maintained)
    watched.stop()
    assert handler.processed == [1]


def test_a_rename_that_could_not_be_recorded_is_repeated_after_retry(worker: Worker, handler: Handler) -> None:
    handler.rename_errors = [AstbtdError("no space left")]
    handler.processed.append(1)
    worker.submit_rename(CoreRenamed(claim(1, pid=1).id, "/srv", "core", "f1"))
    worker.start()
    assert is_set(handler.failed)

    worker.retry_deferred()

    assert is_set(handler.renamed)


def test_a_rename_that_arrives_when_a_claim_was_just_taken_does_not_lose_the_claim(handler: Handler) -> None:
    taken = claim(1, pid=1)

    def submit_rename() -> None:  # what the main thread may do between the taking of a job and the beginning of it
        if watched.current_crash_id and not handler.renames and not handler.processed:
            watched.submit_rename(CoreRenamed(claim(1, pid=1).id, "/srv", "core.renamed", "f1"))

    watched = Worker(submit_rename)
    watched.configure(handler, TIMEOUT)
    watched.submit(taken)

    watched.start()

    assert is_set(handler.renamed)
    watched.stop()
    assert (handler.processed, watched.pending) == ([1], 0)


def test_urgent_maintenance_requested_when_a_claim_was_just_taken_does_not_lose_the_claim(handler: Handler) -> None:
    def request() -> None:
        if watched.current_crash_id and not handler.processed:
            watched.request_maintenance(urgent=True)

    watched = Worker(request)
    watched.configure(handler, TIMEOUT)
    watched.submit(claim(1, pid=1))

    watched.start()

    assert is_set(handler.maintained)
    watched.stop()
    assert (handler.processed, watched.pending) == ([1], 0)


def test_stopping_returns_the_interrupted_claim_and_the_queued_ones(worker: Worker, handler: Handler) -> None:
    taken = threading.Event()

    def until_stopped(_: Claim) -> None:
        taken.set()
        while True:
            os.sched_yield()
            worker.raise_if_stopping()

    handler.before = until_stopped
    worker.submit(claim(2, pid=2))
    worker.submit(claim(1, pid=1))
    worker.start()
    assert is_set(taken)

    unprocessed = worker.stop()

    assert sorted(each.record.inode for each in unprocessed) == [1, 2]
    assert (handler.failures, handler.processed) == ([], [])


def test_a_worker_that_was_not_started_returns_all_claims(worker: Worker) -> None:
    worker.submit(claim(1, pid=1))

    assert [each.record.inode for each in worker.stop()] == [1]


def test_the_current_crash_and_the_number_of_pending_claims_are_known(
    worker: Worker, handler: Handler, gate: Gate
) -> None:
    worker.submit(claim(1, pid=1))

    start_and_block(worker, handler, gate, claim(2, pid=2))

    assert (worker.current_crash_id, worker.pending) == (claim(2, pid=2).id, 1)


@pytest.mark.parametrize(("time_limit", "overdue"), [(-1.0, True), (1e9, False)])
def test_a_job_is_overdue_only_after_the_time_limit(
    worker: Worker, handler: Handler, gate: Gate, time_limit: float, overdue: bool
) -> None:
    worker.configure(handler, time_limit)
    start_and_block(worker, handler, gate, claim(1, pid=1))

    assert worker.is_overdue is overdue


def test_reporting_progress_restarts_the_time_limit(
    worker: Worker, handler: Handler, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("astbtd.daemon.worker.time", clock)
    worker.configure(handler, 10.0)
    start_and_block(worker, handler, gate, claim(1, pid=1))

    clock.monotonic = lambda: 111.0
    assert worker.is_overdue
    worker.keep_alive()
    assert not worker.is_overdue


def test_a_worker_without_a_job_is_never_overdue(worker: Worker, handler: Handler) -> None:
    worker.configure(handler, -1.0)

    assert not worker.is_overdue


def test_every_change_is_notified(handler: Handler) -> None:
    seen: list[str | None] = []
    ended = threading.Event()

    def on_change() -> None:
        seen.append(watched.current_crash_id)
        if len(seen) == 2:
            ended.set()

    watched = Worker(on_change)
    watched.configure(handler, TIMEOUT)
    watched.submit(claim(1, pid=1))
    watched.start()
    assert is_set(ended)
    watched.stop()

    assert seen[:2] == [claim(1, pid=1).id, None]


def test_a_job_that_hangs_does_not_keep_the_daemon_from_stopping(
    worker: Worker, handler: Handler, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.daemon.worker._STOP_TIMEOUT", 0.01)
    worker.submit(claim(0))
    start_and_block(worker, handler, gate, claim(1))

    assert [each.id for each in worker.stop()] == [claim(0).id]


def test_the_limit_is_lower_for_cores_that_a_scan_found(worker: Worker) -> None:
    for _ in range(50):
        worker.submit(claim())
    assert worker.is_almost_empty

    for _ in range(50):
        worker.submit(claim())

    assert not worker.is_almost_empty
    assert (worker.has_room(DiscoveredBy.START), worker.has_room(DiscoveredBy.SCAN)) == (False, False)
    assert worker.has_room(DiscoveredBy.EVENT)


def test_claims_in_transit_count_as_pending(worker: Worker) -> None:
    assert worker.has_room(DiscoveredBy.SCAN, 99)
    assert not worker.has_room(DiscoveredBy.SCAN, 100)


def test_no_more_claims_are_accepted_than_descriptors_allow(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    for _ in range(412):
        assert worker.has_room(DiscoveredBy.EVENT)
        worker.submit(claim())

    assert not worker.has_room(DiscoveredBy.EVENT)
