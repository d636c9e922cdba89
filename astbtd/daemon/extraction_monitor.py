"""Repeat extractions without a command when no core is queued, and report what became of them.

`request` may be called in any thread, the other methods are called in the worker's.
"""

from collections.abc import Callable

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.model.crash import Crash
from astbtd.pipeline.automatic_extraction import AutomaticExtraction, Reports
from astbtd.pipeline.reextraction import ExtractedAgain
from astbtd.store.store import Store

_GDB = "gdb"
"""The name of a gdb that cannot start in the statistics."""


class ExtractionMonitor:
    """Does it on request; the first time, after the start."""

    def __init__(self, store: Store, statistics: StoreStatistics) -> None:
        self._store = store
        self._statistics = statistics
        self._is_due = True

    def request(self) -> None:
        """Let the next call of `extract_if_due` look for crashes that benefit."""
        self._is_due = True

    def note_collected(self, crash: Crash) -> None:
        """Show in the status that gdb could not start for a crash, or no longer that it cannot."""
        if crash.extraction.awaits_gdb:
            self._statistics.record_failure(_GDB, "; ".join(crash.extraction.notes))
        elif crash.extraction.gdb_version:
            self._statistics.clear_failure(_GDB)

    def extract_if_due(self, automatic: AutomaticExtraction, is_interrupted: Callable[[], bool]) -> None:
        """Extract the crashes that benefit if that was requested. What a queued core interrupts is continued later.

        Raise NoRoom. If gdb cannot start, or the budget is used up, the rest waits for the next request.
        """
        if not self._is_due or is_interrupted():
            return
        self._is_due = False
        try:
            is_done = automatic.run(is_interrupted, Reports(self._announce, self._warn))
        except GdbCannotStart as error:
            if self._statistics.record_failure(_GDB, error.message):
                self._warn(f"{error.message}; hint: {error.remedy}")
            return
        self._statistics.clear_failure(_GDB)
        self._is_due |= not is_done and is_interrupted()

    def _announce(self, result: ExtractedAgain, why: str) -> None:
        """Log what became of a crash; announce it if it is usable now."""
        crash = result.after
        self._statistics.replace_last(crash)
        if result.became_usable:
            journal.announce_usable_crash(crash, str(self._store.directory(crash.id)))
        else:
            journal.log(f"crash {crash.id} was extracted again: {why}; its backtrace is {crash.diagnosis.verdict}")

    @staticmethod
    def _warn(sentence: str) -> None:
        journal.log(sentence, Priority.WARNING)
