"""Update the status whenever it changes: the status line, and the file for other units. Log problems once.

Logged are what is not watched and which cores cannot be claimed.

What cannot be logged now, since too much was logged already, is logged after the next rescan if it still holds. Files
of other users can cause such entries; the number of those is limited separately, so that they suppress none of these.
"""

import json

from astbtd.announce import journal, status_line, systemd
from astbtd.announce.journal import Priority
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.watch_thread import WatchState
from astbtd.daemon.worker import Worker
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_kernel import missing_restrictions
from astbtd.lib import files
from astbtd.lib.quantities import pluralize
from astbtd.lib.serialization import to_plain
from astbtd.model.daemon_state import STATE_FILE, DaemonState
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.retention.stored_crash import RemovedPart


class StatusUpdater:
    """Sends the status to the service manager; keeps what was sent and logged last."""

    def __init__(
        self,
        worker: Worker,
        statistics: StoreStatistics,
        loops: CrashLoops,
        readiness: ReadinessMonitor,
    ) -> None:
        self._worker = worker
        self._statistics = statistics
        self._loops = loops
        self._readiness = readiness
        self._rate_limited = RateLimitedJournal()
        self._logged: set[str] = set()
        self._sent = ""
        self._published: DaemonState | None = None

    def update(self, state: WatchState) -> bool:
        """Log and send what is new. Return False if the service manager did not accept it: it must be sent again."""
        sentences = (*state.problems, *state.unwatched)
        self._logged &= {*sentences}
        self._logged.update(filter(self._rate_limited.warn, sorted({*sentences} - self._logged)))
        self._publish()
        line = status_line.format_status(self._status(state, sentences))
        if line != self._sent and systemd.notify(f"STATUS={line}", timeout=0.0):
            self._sent = line
        return line == self._sent

    def allow_more_entries(self) -> None:
        """Let the next `update` log what it could not log so far, since there was too much."""
        self._rate_limited.reset()

    def _status(self, state: WatchState, sentences: tuple[str, ...]) -> status_line.Status:
        return status_line.Status(
            directories=len(state.watched),
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
                *missing_restrictions(),
                *sentences,
            ),
            more=self._worker.more_expected,
        )

    def _publish(self) -> None:
        """Replace the file for other units if the state has changed. Without a unit, there is none."""
        state = DaemonState(
            queued=self._worker.pending,
            more=self._worker.more_expected,
            crash_loops=len(self._loops.current),
            usable=self._readiness.usable,
            failed=self._readiness.failed,
        )
        directory = systemd.runtime_directory()
        if directory is None or state == self._published:
            return
        self._published = state  # an attempt for each change, also if it fails
        try:
            with files.wrap_os_error(f"cannot write {directory / STATE_FILE}"):
                files.replace(directory / STATE_FILE, json.dumps(to_plain(state)).encode(), files.PRIVATE_FILE_MODE)
        except AstbtdError as error:
            journal.log(f"{error.message}; the metrics are out of date", Priority.WARNING)

    def _journal_problem(self) -> tuple[str, ...]:
        pending = len(journal.pending)
        if not pending:
            return ()
        return (f"the journal accepts no entries, {pluralize(pending, 'entry', 'entries')} pending",)
