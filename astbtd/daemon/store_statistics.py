"""What the daemon keeps in memory about its store, for the status line. Two threads share it."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.model.crash import Crash
from astbtd.store.retention.planning import count_store, part_sizes
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart, StoreTotals
from astbtd.store.store import Store


class StoreStatistics:
    """The totals of a store, its newest crash, and current failures."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._totals = StoreTotals()
        self._counted_at: datetime | None = None
        self._last: Crash | None = None
        self._failures: dict[str, str] = {}

    def recount(self) -> None:
        """Count the whole store."""
        now = datetime.now(UTC)
        totals = count_store(self._store)
        last = next((crash for crash in self._store.crashes() if not crash.foreign), None)
        with self._lock:
            self._totals, self._counted_at, self._last = totals, now, last

    def add_crash(self, crash: Crash) -> None:
        """Count a crash that was just processed."""
        if self._counted_at and crash.collected_at < self._counted_at:  # it may have been counted already
            self.recount()
        else:
            added = StoreTotals.from_part_sizes([part_sizes(self._store.sizes(crash.id))])
            with self._lock:
                self._totals += added
        with self._lock:
            is_latest = self._last is None or crash.crashed_at >= self._last.crashed_at
            if is_latest and not crash.foreign:
                self._last = crash
            self._failures.pop(crash.core.path, None)

    def replace_last(self, crash: Crash) -> None:
        """Show the record of a crash as it is now, if that is the newest one."""
        with self._lock:
            if self._last is not None and self._last.id == crash.id:
                self._last = crash

    def subtract(self, removed: Sequence[Removal]) -> None:
        """Subtract what was just removed."""
        if any(removal.what is not RemovedPart.CORE for removal in removed):
            self.recount()
        else:
            less = StoreTotals.from_part_sizes([{RemovedPart.CORE: removal.bytes} for removal in removed])
            with self._lock:
                self._totals -= less

    def subtract_totals(self, removed: StoreTotals) -> None:
        """Subtract whole crashes that were just removed."""
        with self._lock:
            self._totals -= removed

    def record_failure(self, what: str, reason: str) -> bool:
        """Record that something fails. Return False if the same failure is recorded already."""
        with self._lock:
            is_new = self._failures.get(what) != reason
            self._failures[what] = reason
            return is_new

    def clear_failure(self, what: str) -> None:
        """Record that something works again."""
        with self._lock:
            self._failures.pop(what, None)

    @property
    def is_counted(self) -> bool:
        """True once the store has been counted."""
        return self._counted_at is not None

    @property
    def totals(self) -> StoreTotals:
        """What the store holds in all."""
        return self._totals

    @property
    def last(self) -> Crash | None:
        """The newest crash."""
        return self._last

    @property
    def failures(self) -> tuple[str, ...]:
        """The reasons of all current failures."""
        with self._lock:
            return tuple(self._failures.values())
