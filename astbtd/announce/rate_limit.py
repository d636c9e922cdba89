"""Limits the rate of journal entries that other users can cause: about refused files and unwatched directories."""

import threading
from collections.abc import Callable
from functools import partial

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError
from astbtd.lib.quantities import pluralize

_MAX_ENTRIES = 20


class RateLimitedJournal:
    """Writes up to 20 entries between two calls of `reset`; further ones are only counted. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = 0

    def log_refused_core(self, path: str, reason: str) -> None:
        """Announce that a core is not collected, and why."""
        self._write(partial(journal.announce_refused_core, path, reason))

    def log_unpack_error(self, path: str, error: AstbtdError) -> None:
        """Announce that a packed core is not collected, because it cannot be unpacked."""
        reason = f"{error.message}; hint: {error.remedy}" if error.remedy else error.message
        self.log_refused_core(path, reason)

    def warn(self, sentence: str) -> None:
        """Log a warning about something that is not watched."""
        self._write(partial(journal.log, sentence, Priority.WARNING))

    def reset(self) -> None:
        """Log the number of suppressed entries, and allow new ones."""
        with self._lock:
            suppressed = max(0, self._requested - _MAX_ENTRIES)
            self._requested = 0
        if suppressed:
            entries = pluralize(suppressed, "more entry", "more entries")
            message = f"{entries} about ignored files or unwatched directories suppressed"
            journal.log(message, Priority.NOTICE)

    def _write(self, write_entry: Callable[[], None]) -> None:
        with self._lock:
            self._requested += 1
            is_allowed = self._requested <= _MAX_ENTRIES
        if is_allowed:
            write_entry()
