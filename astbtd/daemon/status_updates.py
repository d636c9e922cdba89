"""Shows the status whenever it has changed, and logs once what is not watched."""

from astbtd.announce import journal, status_line, systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.daemon.readiness_monitor import ReadinessMonitor
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.worker import Worker
from astbtd.lib.quantities import counted
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.retention.policy import RemovedPart
from astbtd.watch.supervisor import WatchSupervisor


class StatusUpdater:
    """What was told so far of those who know how things stand."""

    def __init__(
        self,
        worker: Worker,
        ledger: StoreStatistics,
        loops: CrashLoops,
        checker: ReadinessMonitor,
        sparing: RateLimitedJournal,
    ) -> None:
        self._worker = worker
        self._ledger = ledger
        self._loops = loops
        self._checker = checker
        self._sparing = sparing
        self._said: set[str] = set()
        self._shown = ""

    def tell(self, lookout: WatchSupervisor, more_wait: bool) -> bool:
        """Tells what is new; `more_wait` says that cores wait which nobody has claimed.

        False if the service manager did not take it: it has to be told again.
        """
        unwatched = lookout.unwatched()
        for sentence in unwatched:
            if sentence not in self._said:
                self._sparing.warn(sentence)
        self._said = set(unwatched)
        line = status_line.line(self._status(lookout, unwatched, more_wait))
        if line != self._shown and systemd.notify(f"STATUS={line}", patience=0.0):
            self._shown = line
        return line == self._shown

    def _status(self, lookout: WatchSupervisor, unwatched: tuple[str, ...], more_wait: bool) -> status_line.Status:
        return status_line.Status(
            places=len(lookout.watched),
            crashes=self._ledger.stock.numbers[RemovedPart.RECORD],
            stored=self._ledger.stock.size,
            last=self._ledger.last,
            waiting=self._worker.waiting,
            working_on=self._worker.working_on,
            problems=(
                *map(status_line.crash_loop, self._loops.current),
                *self._unheard(),
                *self._ledger.failures,
                *self._checker.problems,
                *lookout.problems(),
                *unwatched,
            ),
            more=more_wait,
        )

    def _unheard(self) -> tuple[str, ...]:
        unheard = len(journal.later)
        wait = counted(unheard, "entry waits", "entries wait")
        return (f"the journal takes no entries, {wait}",) if unheard else ()
