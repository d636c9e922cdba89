"""What the daemon knows of its store without reading it again: for the status line, shared by two threads."""

import threading

from astbtd.archive.store import Store
from astbtd.model import Crash


class Ledger:
    """Counts of the crashes in a store, the newest crash, and what went wrong."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._last: Crash | None = None
        self._failures: dict[str, str] = {}

    def count(self) -> None:
        """Counts the store anew."""
        sizes = {crash_id: self._store.size(crash_id) for crash_id in self._store.ids()}
        last = next(self._store.crashes(), None)
        with self._lock:
            self._sizes, self._last = sizes, last

    def add(self, crash: Crash) -> None:
        """Counts a crash that was just processed."""
        size = self._store.size(crash.id)
        with self._lock:
            self._sizes[crash.id] = size
            if self._last is None or crash.crashed_at >= self._last.crashed_at:
                self._last = crash
            self._failures.pop(crash.core.path, None)

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
    def crashes(self) -> int:
        """How many crashes are in the store."""
        return len(self._sizes)

    @property
    def stored(self) -> int:
        """The bytes of all their files."""
        with self._lock:
            return sum(self._sizes.values())

    @property
    def last(self) -> Crash | None:
        """The newest crash."""
        return self._last

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong and has not gone right since."""
        with self._lock:
            return tuple(self._failures.values())
