"""Keeps the entries that the journal did not take until it does, in their order; for several threads."""

import threading
from collections import deque

from astbtd.announce import systemd

_MOST = 1000


class PendingEntries:
    """Entries on their way to the journal. Of more than a thousand that wait, the oldest are lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, int, dict[str, str]]] = deque(maxlen=_MOST)

    def send(self, message: str, priority: int, fields: dict[str, str]) -> None:
        """Sends an entry, now or later."""
        with self._lock:
            self._waiting.append((message, priority, fields))
        self.deliver()

    def deliver(self) -> bool:
        """Sends what waits; False if the journal does not take it."""
        with self._lock:
            while self._waiting:
                try:
                    systemd.send(*self._waiting[0])
                except systemd.JournalUnavailable:
                    return False
                self._waiting.popleft()
            return True

    def __len__(self) -> int:
        """How many entries wait."""
        return len(self._waiting)
