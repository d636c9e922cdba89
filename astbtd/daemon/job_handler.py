"""The jobs of the daemon's worker: take a claim through the pipeline, record a rename, run maintenance."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.private_copy import NotUnpacked
from astbtd.daemon.jobs import ClaimProcessed, Job, ProcessClaim
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.errors import AstbtdError, Interrupted
from astbtd.model.crash import Crash
from astbtd.pipeline.crash_pipeline import CrashPipeline

_RETENTION = "retention"
"""The name of a failed maintenance in the statistics."""


class CrashJobHandler:
    """Does the jobs with one pipeline. A reload of the configuration creates a new one. Used in the worker's thread.

    `is_interrupted` returns True if a claim is queued, which has priority over what was postponed. `check_deaths`
    claims the deaths of the PBX without a core. `when_idle` do what else is due when no core is queued, in this order.
    `on_collected` is called with each crash.
    """

    def __init__(
        self,
        pipeline: CrashPipeline,
        maintenance: Maintenance,
        statistics: StoreStatistics,
        rate_limited: RateLimitedJournal,
        is_interrupted: Callable[[], bool] = lambda: False,
        check_deaths: Callable[[], None] = lambda: None,
        when_idle: Sequence[Callable[[], None]] = (),
        on_collected: Callable[[Crash], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._maintenance = maintenance
        self._statistics = statistics
        self._rate_limited = rate_limited
        self._is_interrupted = is_interrupted
        self._check_deaths = check_deaths
        self._when_idle = when_idle
        self._on_collected = on_collected

    def process_claim(self, claim: Claim) -> ClaimProcessed:
        """Take a claimed core through the pipeline. Raises AstbtdError if a stage cannot be done now."""
        try:
            crash = self._pipeline.process(claim)
        except NotUnpacked as error:
            self._rate_limited.log_unpack_error(claim.record.path, error, foreign=claim.record.foreign)
            crash = None
        self._statistics.clear_failure(claim.record.path)
        if crash:
            self._on_collected(crash)
            self._count(crash)
        return ClaimProcessed(maintenance_is_urgent=self._maintenance.is_overdue)

    def record_rename(self, rename: CoreRenamed) -> bool:
        """Record the new path of a core; return False if its crash is not recorded yet."""
        return self._pipeline.record_rename(rename)

    def run_maintenance(self, *, idle: bool) -> None:
        """Run the maintenance that is due. If `idle`, do what was postponed as well, until a claim is queued.

        A step that fails does not keep the others from being done. Raises the first error.
        """
        steps: list[Callable[[], object]] = [partial(self._maintenance.run, idle=idle)]
        if idle:
            steps += [partial(self._pipeline.catch_up, self._is_interrupted), *self._when_idle]
        _do_all([*steps, self._check_deaths])
        self._statistics.clear_failure(_RETENTION)

    def report_failure(self, job: Job, error: Exception) -> None:
        """Log a failure once, and show it in the status until it is resolved."""
        self._report(job.claim.record.path if isinstance(job, ProcessClaim) else _RETENTION, error)

    def _count(self, crash: Crash) -> None:
        """Count the crash. A failure must not escape: the claim is finished, and must not be processed again."""
        try:
            self._maintenance.record_crash(crash)
        except (AstbtdError, OSError) as error:
            self._report(_RETENTION, error)

    def _report(self, what: str, error: Exception) -> None:
        if what == _RETENTION:
            self._maintenance.mark_full_run()
        reason = error.message if isinstance(error, AstbtdError) else f"{what}: {type(error).__name__}: {error}"
        if self._statistics.record_failure(what, reason):
            journal.log(f"{reason} (will be retried)", Priority.ERROR)


def _do_all(steps: Iterable[Callable[[], object]]) -> None:
    """Do all steps, also if one of them fails. Raise the first error at the end; Interrupted at once."""
    first_error: Exception | None = None
    for step in steps:
        try:
            step()
        except Interrupted:
            raise
        except Exception as error:
            first_error = first_error or error
    if first_error:
        raise first_error
