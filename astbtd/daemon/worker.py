"""The worker thread: processes claimed cores, newest crash first, while the main thread goes on watching."""

import resource
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.finder_results import MAX_PENDING_FOREIGN
from astbtd.daemon.jobs import ClaimProcessed, Job, JobHandler, ProcessClaim, RecordRename, RunMaintenance
from astbtd.errors import Interrupted
from astbtd.lib import scheduling
from astbtd.model.crash import DiscoveredBy

_MAX_PENDING_WRITTEN = 1000  # claims of new cores; each takes memory for the names in its core, and two descriptors
_MAX_PENDING_FOUND = 100  # claims of cores that a scan found
_OTHER_DESCRIPTORS = 200
_STOP_TIMEOUT = 5.0  # seconds that `stop` waits for the current job


class _ClaimState(Enum):
    """What happens to a claim. A deferred claim waits for `retry_deferred`."""

    QUEUED = 1
    PROCESSING = 2
    DEFERRED = 3


class _Maintenance(Enum):
    """Whether maintenance is requested, and whether before the queued claims or after them."""

    NONE = 1
    AFTER_CLAIMS = 2
    URGENT = 3


class Worker:
    """A thread with a queue of jobs. `on_change` is called in that thread whenever a job begins or ends.

    All claims that were submitted and are not processed yet are in `_claims`, each in exactly one state, so that none
    can be lost between two lists. All state is guarded by one lock; a job is chosen and taken under that lock, so that
    nothing the main thread does in between can change what is done with it.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._handler: JobHandler | None = None
        self._time_limit = 0.0
        self._condition = threading.Condition()
        self._claims: dict[Claim, _ClaimState] = {}
        self._renames: deque[CoreRenamed] = deque()
        self._deferred_renames: dict[str, list[CoreRenamed]] = {}  # by crash id: each waits for one claim only
        self._maintenance = _Maintenance.NONE
        self._maintenance_failed = False
        self._more_expected = False
        self._stopping = False
        self._busy_since: float | None = None
        self._current_claim: Claim | None = None
        self._thread = self._new_thread()

    def start(self) -> None:
        """Start the thread. `configure` must have been called."""
        self._thread.start()

    def configure(self, handler: JobHandler, time_limit: float) -> None:
        """Use `handler` from the next job on. A job that takes longer than `time_limit` seconds is overdue."""
        with self._condition:
            self._handler, self._time_limit = handler, time_limit

    def submit(self, claim: Claim) -> None:
        """Queue a claim. May be called in any thread."""
        with self._condition:
            self._claims[claim] = _ClaimState.QUEUED
            self._condition.notify()

    def submit_rename(self, rename: CoreRenamed) -> None:
        """Queue the recording of a new path. If the crash is not recorded yet, it is repeated after its claim."""
        with self._condition:
            self._renames.append(rename)
            self._condition.notify()

    def expect_more(self, expected: bool) -> None:
        """Say whether cores wait in their directories, to be claimed when the queue has room.

        As long as they do, the worker is not idle; afterwards maintenance runs.
        """
        with self._condition:
            if self._more_expected and not expected:
                self._request_maintenance(urgent=False)
                self._condition.notify()
            self._more_expected = expected

    def request_maintenance(self, *, urgent: bool = False) -> None:
        """Request maintenance: when no claim is queued, or, if `urgent`, next. In a crash loop a claim always is."""
        with self._condition:
            self._request_maintenance(urgent)
            self._condition.notify()

    def retry_deferred(self) -> None:
        """Queue all that failed before."""
        with self._condition:
            for claim, state in self._claims.items():
                if state is _ClaimState.DEFERRED:
                    self._claims[claim] = _ClaimState.QUEUED
            for crash_id in list(self._deferred_renames):
                self._queue_deferred_renames(crash_id)
            if self._maintenance_failed:
                self._maintenance_failed = False
                self._request_maintenance(urgent=False)
            self._condition.notify()

    def claims(self) -> list[Claim]:
        """Return all claims that were submitted and are not processed yet."""
        with self._condition:
            return list(self._claims)

    def recover(self) -> list[str]:
        """Repair what violates the invariant of `_claims`; return a sentence about each violation.

        A claim is being processed exactly as long as the current job is about it, and the thread runs until `stop`.
        """
        with self._condition:
            sentences = []
            current = self._current_claim
            for claim, state in self._claims.items():
                if state is _ClaimState.PROCESSING and claim is not current:
                    self._claims[claim] = _ClaimState.QUEUED
                    sentences.append(f"the claim of {claim.record.path} was neither queued nor processed: queued again")
            if self._thread.ident is not None and not self._thread.is_alive() and not self._stopping:
                self._thread = self._new_thread()
                self._thread.start()
                sentences.append("the worker thread had ended: started again")
            self._condition.notify()
            return sentences

    def stop(self) -> list[Claim]:
        """Stop the thread and return the claims that are not processed. The handler must raise Interrupted soon.

        A job that hangs in a file system that does not respond is abandoned: the next start finds its claim.
        """
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(_STOP_TIMEOUT)
        with self._condition:
            return [claim for claim, state in self._claims.items() if state is not _ClaimState.PROCESSING]

    def raise_if_stopping(self) -> None:
        """Raise Interrupted once `stop` was called. The handler calls this during long work."""
        if self._stopping:
            raise Interrupted("the daemon stops")

    def keep_alive(self, _: int = 0) -> None:
        """Report progress: restart the time limit of the current job. Raise Interrupted once `stop` was called."""
        self.raise_if_stopping()
        self._busy_since = time.monotonic()

    def has_queued(self) -> bool:
        """Return whether a claim is queued behind the current job."""
        with self._condition:
            return self._newest_queued() is not None

    @property
    def pending(self) -> int:
        """The number of claims that are queued or deferred."""
        with self._condition:
            return sum(state is not _ClaimState.PROCESSING for state in self._claims.values())

    def has_room(self, found: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:
        """Return whether one more claim may be submitted, with `in_transit` claims on their way to the queue.

        The limit is higher for a core that was just written: it may be overwritten. A core that a scan found can stay
        where it is. Of `foreign` cores, few are queued at a time, so that they take no room from the PBX's.
        """
        if foreign:
            return self._pending_foreign + in_transit < MAX_PENDING_FOREIGN
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = _MAX_PENDING_FOUND
        if found is DiscoveredBy.EVENT:
            limit = min(_MAX_PENDING_WRITTEN, (descriptors - _OTHER_DESCRIPTORS) // 2)
        return self.pending - self._pending_foreign + in_transit < limit

    @property
    def _pending_foreign(self) -> int:
        with self._condition:
            return sum(claim.record.foreign for claim in self._claims)

    @property
    def more_expected(self) -> bool:
        """What was last said by `expect_more`."""
        return self._more_expected

    @property
    def is_almost_empty(self) -> bool:
        """True if so few claims are pending that postponed cores should be claimed now."""
        return self.pending <= _MAX_PENDING_FOUND // 2

    @property
    def current_crash_id(self) -> str | None:
        """The id of the crash that is being processed, None if there is none."""
        with self._condition:
            processing = (claim.id for claim, state in self._claims.items() if state is _ClaimState.PROCESSING)
            return next(processing, None)

    @property
    def is_overdue(self) -> bool:
        """True if the current job has exceeded the time limit."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._time_limit

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="worker", daemon=True)

    def _run(self) -> None:
        scheduling.let_others_preempt()
        try:
            while job := self._wait_for_job():
                self._on_change()
                self._do(job)
                self._on_change()
        finally:
            self._current_claim = self._busy_since = None

    def _wait_for_job(self) -> Job | None:
        """Wait for a job and take it; return None when the worker is to stop."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._has_job())
            if self._stopping:
                return None
            self._busy_since = time.monotonic()
            return self._take_job()

    def _has_job(self) -> bool:
        requested = self._maintenance is not _Maintenance.NONE
        return bool(self._renames) or requested or self._newest_queued() is not None

    def _take_job(self) -> Job:
        """Take the next job: renames first, then urgent maintenance, then claims. The caller holds the lock."""
        if self._renames:
            return RecordRename(self._renames.popleft())
        claim = self._newest_queued()
        is_requested = self._maintenance is not _Maintenance.NONE
        if claim is None or self._maintenance is _Maintenance.URGENT or (claim.record.foreign and is_requested):
            self._maintenance = _Maintenance.NONE
            has_claims = any(not claim.record.foreign for claim in self._claims)
            return RunMaintenance(idle=not has_claims and not self._more_expected)
        self._claims[claim] = _ClaimState.PROCESSING
        self._current_claim = claim
        return ProcessClaim(claim)

    def _newest_queued(self) -> Claim | None:
        queued = (claim for claim, state in self._claims.items() if state is _ClaimState.QUEUED)
        return min(queued, default=None)  # claims are ordered newest crash first

    def _do(self, job: Job) -> None:
        handler = self._handler
        assert handler is not None
        try:
            if isinstance(job, ProcessClaim):
                self._finish_claim(job.claim, handler.process_claim(job.claim))
            elif isinstance(job, RunMaintenance):
                handler.run_maintenance(idle=job.idle)
            elif not handler.record_rename(job.rename):
                self._defer(job)
        except Interrupted:
            self._defer(job)
        except Exception as error:  # whatever goes wrong with one core, the next one must still be processed
            self._defer(job)
            handler.report_failure(job, error)
        finally:
            self._current_claim = self._busy_since = None

    def _finish_claim(self, claim: Claim, processed: ClaimProcessed) -> None:
        with self._condition:
            del self._claims[claim]
            self._queue_deferred_renames(claim.id)
            self._request_maintenance(processed.maintenance_is_urgent)

    def _defer(self, job: Job) -> None:
        with self._condition:
            if isinstance(job, ProcessClaim):
                self._claims[job.claim] = _ClaimState.DEFERRED
            elif isinstance(job, RecordRename):
                self._deferred_renames.setdefault(job.rename.crash_id, []).append(job.rename)
            else:
                self._maintenance_failed = True

    def _queue_deferred_renames(self, crash_id: str) -> None:
        self._renames += self._deferred_renames.pop(crash_id, [])

    def _request_maintenance(self, urgent: bool) -> None:
        if urgent:
            self._maintenance = _Maintenance.URGENT
        elif self._maintenance is _Maintenance.NONE:
            self._maintenance = _Maintenance.AFTER_CLAIMS
