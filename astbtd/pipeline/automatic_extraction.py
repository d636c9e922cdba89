"""Repeat the extraction of kept crashes that benefit: debug files that they lack have appeared, or gdb works again."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from astbtd.errors import AstbtdError, Interrupted, NoRoom
from astbtd.extraction.gdb_probe import GdbCannotStart, probe_gdb
from astbtd.model.crash import Crash, LackingSymbols, Verdict
from astbtd.pipeline.extraction_attempts import MOST_FAILURES, ExtractionAttempts
from astbtd.pipeline.reextraction import ExtractedAgain, Reextraction
from astbtd.pipeline.wanted_symbols import SymbolFields, WantedSymbols
from astbtd.store.store import DamagedRecord, Store
from astbtd.symbols.symbol_directories import debug_file_version

SYMBOLS_APPEARED = "debug files have appeared"
GDB_WORKS = "gdb works again"

_NOT_THE_CRASH = (NoRoom, GdbCannotStart, Interrupted)
"""Errors that say nothing about the crash: its attempt is not counted."""


@dataclass(frozen=True)
class Benefiting:
    """A crash of which another extraction gives more, and why."""

    crash_id: str
    why: str


@dataclass(frozen=True)
class Reports:
    """What is called in the course of the work: with each result, and with a sentence about each failure."""

    on_extracted: Callable[[ExtractedAgain, str], None]
    on_failure: Callable[[str], None]


def find_benefiting(store: Store, directories: Sequence[str], now: float) -> list[Benefiting]:
    """Return the kept crashes that benefit: those that are not usable first, of each signature the newest first.

    Foreign crashes come last. `directories` are those in which gdb looks for debug files.
    """
    ranks: Counter[tuple[bool, str]] = Counter()
    found: list[tuple[bool, bool, int, int, Benefiting]] = []
    for crash_id, fields in WantedSymbols(store).kept():
        why = _reason(fields, directories, now)
        if why:
            is_foreign = bool(fields.foreign)
            key = is_foreign, fields.signature.id if fields.signature else crash_id
            is_usable = fields.diagnosis.verdict is Verdict.USABLE
            found.append((is_foreign, is_usable, ranks[key], len(found), Benefiting(crash_id, why)))
            ranks[key] += 1
    return [each[-1] for each in sorted(found, key=lambda each: each[:-1])]


def _reason(fields: SymbolFields, directories: Sequence[str], now: float) -> str | None:
    if fields.texts_removed_at is not None:
        return None
    if fields.extraction.awaits_gdb:
        return GDB_WORKS
    appeared = any(_has_appeared(each, directories, now) for each in fields.lacking_symbols or ())
    return SYMBOLS_APPEARED if appeared else None


def _has_appeared(lacking: LackingSymbols, directories: Sequence[str], now: float) -> bool:
    """Return whether there is a debug file that was not there, or another one, at the last extraction."""
    version = debug_file_version(directories, lacking.build_id, now)
    return version is not None and version != lacking.debug_file


@dataclass(frozen=True)
class AutomaticExtraction:
    """Extracts these crashes again, within the budget of `attempts`."""

    again: Reextraction
    attempts: ExtractionAttempts

    def run(self, is_interrupted: Callable[[], bool], reports: Reports) -> bool:
        """Extract all of them. Return False if `is_interrupted` returned True, or the budget was used up, before.

        Raise GdbCannotStart, NoRoom.
        """
        benefiting = find_benefiting(self._store, self._directories, self.attempts.now())
        if benefiting:
            probe_gdb(self.again.extractor.settings, self.again.extractor.user)
        for each in benefiting:
            if is_interrupted():
                return False
            if self.attempts.failures(each.crash_id) >= MOST_FAILURES:
                self._give_up(each.crash_id, reports)
            elif not self.attempts.begin(each.crash_id):
                return False
            else:
                self._extract(each, reports)
        return True

    @property
    def _store(self) -> Store:
        return self.again.store

    @property
    def _directories(self) -> tuple[str, ...]:
        return tuple(self.again.extractor.debug_directories.split(":"))

    def _extract(self, benefiting: Benefiting, reports: Reports) -> None:
        """Extract one crash. An error that is the fault of the crash is reported, and its attempt counts as failed."""
        crash_id = benefiting.crash_id
        try:
            result = self.again.extract_kept(crash_id, benefiting.why)
        except DamagedRecord:  # removed meanwhile; fsck reports other damage
            return
        except _NOT_THE_CRASH:
            with suppress(NoRoom):
                self.attempts.end(crash_id)
            raise
        except AstbtdError as error:
            reports.on_failure(f"crash {crash_id} cannot be extracted again: {error.message}")
            return
        reports.on_extracted(result, benefiting.why)
        self.attempts.end(crash_id)

    def _give_up(self, crash_id: str, reports: Reports) -> None:
        """Leave a crash alone until other debug files appear: each attempt has failed, or ended the daemon."""
        now, directories = self.attempts.now(), self._directories
        reason = f"{MOST_FAILURES} attempts to extract it again did not come to an end; see journalctl -u astbtd"

        def update(stored: Crash) -> Crash:
            seen = (
                replace(each, debug_file=debug_file_version(directories, each.build_id, now))
                for each in stored.lacking_symbols or ()
            )
            notes = tuple(dict.fromkeys((*stored.extraction.notes, reason)))
            extraction = replace(stored.extraction, awaits_gdb=False, notes=notes)
            return replace(stored, lacking_symbols=tuple(seen), extraction=extraction)

        with suppress(DamagedRecord):
            self._store.change(crash_id, update)
            reports.on_failure(f"crash {crash_id}: {reason}")
        self.attempts.end(crash_id)
