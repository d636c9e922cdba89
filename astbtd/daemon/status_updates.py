"""Update the status line whenever it changes; log once what is not watched and which cores cannot be claimed."""

from astbtd.announce import journal, status_line, systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.worker import Worker
from astbtd.lib.quantities import pluralize
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.watch.supervisor import WatchSupervisor


class StatusUpdater:
    """Sends the status to the service manager; keeps what was sent and logged last."""

    def __init__(
        self,
        worker: Worker,
        statistics: StoreStatistics,
        loops: CrashLoops,
        readiness: ReadinessMonitor,
        rate_limited: RateLimitedJournal,
    ) -> None:
        self._worker = worker
        self._statistics = statistics
        self._loops = loops
        self._readiness = readiness
        self._rate_limited = rate_limited
        self._logged: set[str] = set()
        self._sent = ""

    def update(self, supervisor: WatchSupervisor) -> bool:
        """Log and send what is new. Return False if the service manager did not accept it: it must be sent again."""
        unwatched, problems = supervisor.unwatched(), supervisor.problems()
        for sentence in (*unwatched, *problems):
            if sentence not in self._logged:
                self._rate_limited.warn(sentence)
        self._logged = {*unwatched, *problems}
        line = status_line.format_status(self._status(supervisor, (*problems, *unwatched)))
        if line != self._sent and systemd.notify(f"STATUS={line}", timeout=0.0):
            self._sent = line
        return line == self._sent

    def _status(self, supervisor: WatchSupervisor, of_supervisor: tuple[str, ...]) -> status_line.Status:
        return status_line.Status(
            directories=len(supervisor.watched),
            crashes=self._statistics.totals.numbers[RemovedPart.RECORD],
            stored=self._statistics.totals.size,
            last=self._statistics.last,
            queued=self._worker.pending,
            processing=self._worker.current_crash_id,
            problems=(
                *map(status_line.format_crash_loop, self._loops.current),
                *self._journal_problem(),
                *self._statistics.failures,
                *self._readiness.problems,
                *of_supervisor,
            ),
            more=self._worker.more_expected,
        )

    def _journal_problem(self) -> tuple[str, ...]:
        pending = len(journal.pending)
        if not pending:
            return ()
        return (f"the journal accepts no entries, {pluralize(pending, 'entry', 'entries')} pending",)
