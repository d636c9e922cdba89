"""Says in the journal only so much of what others can cause as often as they like: files that are no cores of ours."""

import threading
from collections.abc import Callable
from functools import partial

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError
from astbtd.lib.quantities import counted

_MOST = 20


class RateLimitedJournal:
    """So many entries until `go_on` is called, from any thread; of the rest only their number is said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0

    def refused(self, path: str, reason: str) -> None:
        """Says that a core was left alone, and why."""
        self._say(partial(journal.refused, path, reason))

    def not_unpacked(self, path: str, error: AstbtdError) -> None:
        """Says that a packed core was left alone after all, and why."""
        self.refused(path, "; ".join(filter(None, (error.message, error.remedy))))

    def warn(self, sentence: str) -> None:
        """Says what is not watched."""
        self._say(partial(journal.note, sentence, Priority.WARNING))

    def go_on(self) -> None:
        """Says how much was not said, and allows as much again."""
        with self._lock:
            unsaid, self._wanted = max(0, self._wanted - _MOST), 0
        if unsaid:
            entries = counted(unsaid, "more entry", "more entries")
            journal.note(f"{entries} on files left alone or places not watched, too many to be said", Priority.NOTICE)

    def _say(self, speak: Callable[[], None]) -> None:
        with self._lock:
            self._wanted += 1
            allowed = self._wanted <= _MOST
        if allowed:
            speak()
