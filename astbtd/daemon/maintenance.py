"""The daemon's maintenance between two cores: numbering, retention, and the totals for the status line.

What retention reads depends on its limits (store/retention/policy.py): after a crash the crashes with cores, which are
few; on the timer all crashes, one by one. Excess records are found one by one as well. A plan over all at once, which
takes time and memory in proportion, is made only if another limit on totals is exceeded.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.daemon.collector_journal import LateMetadata
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.daemon.symbol_monitor import SymbolMonitor
from astbtd.lib.trusted_clock import TrustedClock
from astbtd.model.crash import Crash, DiscoveredBy
from astbtd.pipeline.removed_core import record_core_state, without_core_advice
from astbtd.settings import RetentionSettings
from astbtd.store.foreign_crashes import ForeignCrashes
from astbtd.store.integrity import discard_empty_core, find_empty_cores
from astbtd.store.occurrence import number_postponed
from astbtd.store.retention.apply import carry_out, reset_age
from astbtd.store.retention.object_removal import (
    ObjectRemoval,
    carry_out_object_removals,
    plan_object_removals,
    summarize_objects,
)
from astbtd.store.retention.planning import plan_removals
from astbtd.store.retention.record_excess import plan_excess_records
from astbtd.store.retention.removal_plan import Removal, summarize
from astbtd.store.store import DamagedRecord, Store

_MOST_BEFORE_RETENTION = 100  # crashes of a loop


class Maintenance:
    """Maintains a store. `raise_if_stopping` raises to leave the rest of a run to the next start.

    `symbols` obtains debug files, None if that is not done.
    """

    def __init__(
        self,
        store: Store,
        settings: RetentionSettings,
        statistics: StoreStatistics,
        raise_if_stopping: Callable[[], None],
        symbols: SymbolMonitor | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._statistics = statistics
        self._raise_if_stopping = raise_if_stopping
        self._symbols = symbols
        self._late_metadata = LateMetadata(store)
        self._clock = TrustedClock()
        self._is_due = True
        self._is_full_run_due = False
        self._crashes_since_run = 0

    def update_settings(self, settings: RetentionSettings) -> None:
        """Use other limits from the next `run` on."""
        self._settings = settings
        self._is_full_run_due = True

    def mark_full_run(self) -> None:
        """Make the next `run` look at the whole store, as the timer does."""
        self._is_full_run_due = True

    def record_crash(self, crash: Crash) -> None:
        """Count a crash and schedule retention; in a crash loop, not after each crash."""
        self._statistics.add_crash(crash)
        self._late_metadata.expect(crash)
        if crash.foreign:
            self._statistics.subtract_totals(ForeignCrashes(self._store).remove_excess())
            return
        self._crashes_since_run += 1
        if not crash.extraction.brief or self.is_overdue:
            self._is_due = True

    @property
    def awaits_answers(self) -> bool:
        """True if `run` is to be called every few seconds: a collector or astbtd-symbols.service has yet to answer."""
        return self._late_metadata.is_awaited or (self._symbols is not None and self._symbols.awaits_answers)

    @property
    def is_overdue(self) -> bool:
        """True if `run` must not wait for the queue to become empty: in a crash loop it may never."""
        return self._crashes_since_run >= _MOST_BEFORE_RETENTION

    def run(self, *, idle: bool) -> None:
        """Run pending maintenance. Numbering runs only when `idle` (no core is queued)."""
        self._late_metadata.add_found()
        if idle:
            self._announce_waiting_cores()
            number_postponed(self._store)
            if self._symbols:
                self._symbols.run()
        if not self._statistics.is_counted:
            self._discard_empty_cores()
            self._late_metadata.resume()
        if self._is_full_run_due or not self._statistics.is_counted:
            self._store.collected.drop_oldest()
            self._statistics.recount()
        if self._is_full_run_due or self._is_due:
            after_crash = not self._is_full_run_due
            self._is_full_run_due = self._is_due = False
            self._crashes_since_run = 0
            self._remove(plan_excess_records(self._store, self._settings.records.count, self._statistics.totals))
            totals = self._statistics.totals
            self._remove(
                plan_removals(self._store, self._settings, self._now(), totals=totals, after_crash=after_crash)
            )
            remove_objects(self._store, self._settings.objects.size)
        gc.collect()  # each crash leaves whole texts behind; the next automatic collection may be 100 crashes away

    def make_room(self, needed: int) -> None:
        """Apply retention so that `needed` more bytes fit on the disk, if removing cores can achieve that."""
        self._remove(plan_removals(self._store, self._settings, self._now(), needed=needed))

    def _announce_waiting_cores(self) -> None:
        """Write one journal entry about all cores that existed before the first start."""
        if self._store.is_new:
            waiting = [crash.id for crash in self._store.crashes() if crash.core.found is DiscoveredBy.START]
            if waiting:
                journal.announce_earlier_crashes(waiting, str(self._store.root))
            self._store.mark_initialized()

    def _discard_empty_cores(self) -> None:
        """Record at the start which kept cores a power cut has left empty."""
        for crash_id in find_empty_cores(self._store):
            with suppress(DamagedRecord):  # fsck reports it
                discard_empty_core(self._store, crash_id, partial(record_core_state, self._store))
                journal.log(f"the kept core of crash {crash_id} is empty: recorded as lost", Priority.WARNING)

    def _now(self) -> datetime | None:
        """Return the time, or None while the clock is not trusted. Reset ages after the clock was corrected."""
        now = self._clock.now()
        if wrong := self._clock.take_wrong_period():
            reset_age(self._store, wrong, datetime.now(UTC))
        return now

    def _remove(self, removals: Sequence[Removal]) -> None:
        removed = remove_and_log(self._store, removals, lambda _: self._raise_if_stopping())
        self._statistics.subtract(removed)


def remove_objects(store: Store, limit: int | None) -> tuple[ObjectRemoval, ...]:
    """Remove the kept objects that no core needs, or that exceed the limit in bytes, and log it.

    Raise AstbtdError if permission is denied.
    """
    removals = plan_object_removals(store, limit)
    if removals:
        carry_out_object_removals(store, removals)
        journal.announce_retention(summarize_objects(removals))
    return removals


def remove_and_log(store: Store, removals: Sequence[Removal], progress: Callable[[int], None]) -> tuple[Removal, ...]:
    """Carry out a plan, write one journal entry about it, and return what was removed.

    `progress` is called with the number of removals done, and may raise to stop. Raise AstbtdError if permission is
    denied.
    """
    removed: list[Removal] = []

    def on_removed(removal: Removal) -> None:
        removed.append(removal)
        progress(len(removed))

    try:
        carry_out(store, removals, datetime.now(UTC), on_removed, partial(without_core_advice, store))
    finally:
        if removed:
            journal.announce_retention(summarize(removed))
    return tuple(removed)
