"""Limits the rate of journal entries that other users can cause, such as those about refused files."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Crash

_MAX_ENTRIES = 20


class RateLimitedJournal:
    """Writes up to 20 entries between two calls of `reset`; further ones are only counted. Thread-safe.

    Entries about `foreign` files, those of users who are not the PBX's, have a limit of their own: however many there
    are, they suppress none about the PBX.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: Counter[bool] = Counter()  # by whether they are about foreign files
        self._suppressed = 0

    def log_refused_core(self, path: str, reason: str, *, foreign: bool) -> None:
        """Announce that a core is not collected, and why."""
        self._write(partial(journal.announce_refused_core, path, reason), foreign)

    def log_unpack_error(self, path: str, error: AstbtdError, *, foreign: bool) -> None:
        """Announce that a packed core is not collected, because it cannot be unpacked."""
        reason = f"{error.message}; hint: {error.remedy}" if error.remedy else error.message
        self.log_refused_core(path, reason, foreign=foreign)

    def announce_foreign_crash(self, crash: Crash, directory: str) -> None:
        """Announce the crash of a program that is not the PBX. Raise JournalUnavailable."""
        self._write(partial(journal.announce_foreign_crash, crash, directory), foreign=True)

    def warn(self, sentence: str) -> bool:
        """Log a warning about something that lasts. Return False if it is to be logged later, after a `reset`."""
        if not self._take(foreign=False):
            return False
        journal.log(sentence, Priority.WARNING)
        return True

    def reset(self) -> None:
        """Log the number of suppressed entries, and allow new ones."""
        with self._lock:
            suppressed = self._suppressed
            self._suppressed = 0
            self._written.clear()
        if suppressed:
            entries = pluralize(suppressed, "more entry", "more entries")
            journal.log(f"{entries} about ignored files or foreign crashes suppressed", Priority.NOTICE)

    def _write(self, write_entry: Callable[[], None], foreign: bool) -> None:
        if not self._take(foreign):
            with self._lock:
                self._suppressed += 1
            return
        try:
            write_entry()
        except AstbtdError:  # it is written later
            with self._lock:
                self._written[foreign] -= 1
            raise

    def _take(self, foreign: bool) -> bool:
        """Return whether one more entry may be written now, and count it."""
        with self._lock:
            is_allowed = self._written[foreign] < _MAX_ENTRIES
            self._written[foreign] += is_allowed
        return is_allowed
