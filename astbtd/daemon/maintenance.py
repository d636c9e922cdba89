"""The daemon's housekeeping between two cores: numbers put right, retention, and the count for the status.

After a crash only the crashes with cores are looked at, which are few; on the timer all are, one by one. A plan over
all of them at once, which takes time and memory in proportion, is made only where there is too much in all.
"""

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from astbtd.announce import journal
from astbtd.daemon.retention_run import tidy
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.lib.trusted_clock import TrustedClock
from astbtd.model.crash import Crash, DiscoveredBy
from astbtd.settings import RetentionSettings
from astbtd.store.occurrence import number_postponed
from astbtd.store.retention import apply
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.policy import Removal
from astbtd.store.store import Store

_MOST_UNTIDIED = 100  # crashes of a loop after which is looked at what they make too much of


class Maintenance:
    """What is due in `store`, under `limits`; `stopped` raises to have it left for the next start."""

    def __init__(
        self, store: Store, limits: RetentionSettings, ledger: StoreStatistics, stopped: Callable[[], None]
    ) -> None:
        self._store = store
        self._limits = limits
        self._ledger = ledger
        self._stopped = stopped
        self._clock = TrustedClock()
        self._cores_are_due = True
        self._all_is_due = False
        self._untidied = 0

    def use(self, limits: RetentionSettings) -> None:
        """Goes on under other limits."""
        self._limits = limits
        self._all_is_due = True

    def all_is_due(self) -> None:
        """Has everything looked at with the next `run`."""
        self._all_is_due = True

    def collected(self, crash: Crash) -> None:
        """Counts a crash, and has looked at what it may have made too much of; in a crash loop not each time."""
        self._ledger.add(crash)
        self._untidied += 1
        self._cores_are_due |= not crash.extraction.brief or self.is_pressing

    @property
    def is_pressing(self) -> bool:
        """Whether `run` cannot wait for the last core that waits: in a crash loop there may always be one more."""
        return self._untidied >= _MOST_UNTIDIED

    def run(self, *, idle: bool) -> None:
        """Does what is due; what is of no use before the last core that waits is done, only when `idle`."""
        if idle:
            self._say_what_had_waited()
            number_postponed(self._store)
        if self._all_is_due or not self._ledger.is_counted:
            self._store.forget_oldest_seen()
            self._ledger.count()
        if self._all_is_due or self._cores_are_due:
            plan = self._fitting_plan()
            self._all_is_due = self._cores_are_due = False
            self._untidied = 0
            self._tidy(plan(self._store, self._limits, self._now()))
        gc.collect()  # by itself it would come a hundred crashes later, and each leaves whole texts behind

    def make_room(self, needed: int) -> None:
        """Applies retention as for `needed` bytes more."""
        self._tidy(apply.planned(self._store, self._limits, self._now(), needed))

    def _say_what_had_waited(self) -> None:
        """One entry on all cores that had been there before astbtd first started."""
        if self._store.is_new:
            waited = [crash.id for crash in self._store.crashes() if crash.core.found is DiscoveredBy.START]
            if waited:
                journal.waiting_cores(waited, str(self._store.root))
            self._store.no_longer_new()

    def _fitting_plan(self) -> Callable[[Store, RetentionSettings, datetime | None], tuple[Removal, ...]]:
        """The cheapest way to find all that is too much now."""
        short = Disk.of(self._store.root).lacks(self._limits.minimum_free) > 0
        if short or self._ledger.stock.exceeds(self._limits):
            return apply.planned
        return apply.planned_within if self._all_is_due else apply.planned_of_cores

    def _now(self) -> datetime | None:
        now = self._clock.now()
        if wrong := self._clock.take_wrong():
            apply.begin_aging(self._store, wrong, datetime.now(UTC))
        return now

    def _tidy(self, removals: Sequence[Removal]) -> None:
        self._ledger.lose(tidy(self._store, removals, lambda _: self._stopped()))
