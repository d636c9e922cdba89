"""What the daemon knows of its store without reading it again: for the status line, shared by two threads."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.model.crash import Crash
from astbtd.store.retention import apply
from astbtd.store.retention.policy import Removal, RemovedPart, StoreTotals
from astbtd.store.store import Store


class StoreStatistics:
    """Counts of the crashes in a store, the newest crash, and what went wrong."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._stock = StoreTotals()
        self._counted_at: datetime | None = None
        self._last: Crash | None = None
        self._failures: dict[str, str] = {}

    def count(self) -> None:
        """Counts the store anew."""
        now, stock, last = datetime.now(UTC), apply.stock(self._store), next(self._store.crashes(), None)
        with self._lock:
            self._stock, self._counted_at, self._last = stock, now, last

    def add(self, crash: Crash) -> None:
        """Counts a crash that was just processed; one that was recorded before the last count may be in it already."""
        if self._counted_at and crash.collected_at < self._counted_at:
            self.count()
        else:
            more = StoreTotals.of([apply.parts(self._store.sizes(crash.id))])
            with self._lock:
                self._stock += more
        with self._lock:
            if self._last is None or crash.crashed_at >= self._last.crashed_at:
                self._last = crash
            self._failures.pop(crash.core.path, None)

    def lose(self, removed: Sequence[Removal]) -> None:
        """Takes off the count what was just removed."""
        if any(removal.what is not RemovedPart.CORE for removal in removed):
            self.count()
        else:
            less = StoreTotals.of([{RemovedPart.CORE: removal.bytes} for removal in removed])
            with self._lock:
                self._stock -= less

    def fail(self, what: str, reason: str) -> bool:
        """Notes a failure; True if this one was not noted before."""
        with self._lock:
            news = self._failures.get(what) != reason
            self._failures[what] = reason
            return news

    def succeed(self, what: str) -> None:
        """Takes back a failure."""
        with self._lock:
            self._failures.pop(what, None)

    @property
    def is_counted(self) -> bool:
        """Whether the store was counted yet."""
        return self._counted_at is not None

    @property
    def stock(self) -> StoreTotals:
        """What the store holds in all."""
        return self._stock

    @property
    def last(self) -> Crash | None:
        """The newest crash."""
        return self._last

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong and has not gone right since."""
        with self._lock:
            return tuple(self._failures.values())
