"""Extract kept cores in full that were extracted only in part, because too many new sites appeared at once.

A file in the store has the ids of these crashes, so that none is forgotten when the daemon is stopped or killed.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.errors import Interrupted, NoRoom
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.lib import files
from astbtd.model.crash import Crash
from astbtd.pipeline.reextraction import Reextraction
from astbtd.pipeline.removed_core import without_core_advice
from astbtd.store.core_archive import DamagedCore
from astbtd.store.store import DamagedRecord, Store

_MOST_ATTEMPTS = 3
_IN_FULL = "it was extracted only in part before"
_WAS_REMOVED = "only the crashed thread was extracted: the core was removed before it could be extracted in full"
_IS_DAMAGED = "only the crashed thread was extracted: the kept core is damaged"
_FAILED = (
    f"only the crashed thread was extracted: {_MOST_ATTEMPTS} attempts to extract the core in full did not come to an "
    "end; see journalctl -u astbtd"
)
_NOT_THE_CRASH = (NoRoom, GdbCannotStart, Interrupted)
"""Errors that say nothing about the crash: its attempt is not counted."""


@dataclass(frozen=True)
class PostponedExtractions:
    """The list of crashes to extract in full, oldest first. Used by the worker's thread only.

    A line of the file has an id, and how many attempts did not come to an end if there were any.
    """

    store: Store

    def ids(self) -> tuple[str, ...]:
        """Return the ids."""
        return tuple(self._read())

    def add(self, crash_id: str) -> None:
        """Add a crash, durably. Called before its record is committed."""
        self._write({**self._without(crash_id), crash_id: 0})

    def remove(self, crash_id: str) -> None:
        """Remove a crash from the list."""
        self._write(self._without(crash_id))

    def begin(self, crash_id: str) -> None:
        """Note, durably, that an attempt at a crash of the list begins."""
        attempts = self._read()
        self._write({**attempts, crash_id: attempts[crash_id] + 1})

    def forget_last(self, crash_id: str) -> None:
        """Do not count the last attempt at a crash."""
        attempts = self._read()
        self._write({**attempts, crash_id: max(0, attempts[crash_id] - 1)})

    def attempts(self, crash_id: str) -> int:
        """Return how many attempts at a crash did not come to an end, because they failed or the daemon ended."""
        return self._read().get(crash_id, 0)

    def _without(self, crash_id: str) -> dict[str, int]:
        return {each: attempts for each, attempts in self._read().items() if each != crash_id}

    def _read(self) -> dict[str, int]:
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return {}
        found = (line.partition(" ") for line in lines if line)
        return {crash_id: int(attempts) if attempts.isdigit() else 0 for crash_id, _, attempts in found}

    def _write(self, attempts: Mapping[str, int]) -> None:
        lines = [f"{crash_id} {count}" if count else crash_id for crash_id, count in attempts.items()]
        if lines:
            files.replace(self._path, "\n".join(lines).encode(), files.PRIVATE_FILE_MODE)
        else:
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.store.incoming / "postponed"


def extract_postponed(again: Reextraction, is_interrupted: Callable[[], bool]) -> bool:
    """Extract all cores on the list. Return False if `is_interrupted` returned True before the last one.

    Raise AstbtdError if no core can be extracted now: they stay on the list. A core that cannot be extracted does not
    keep the others from being extracted; the first such error is raised at the end. After some attempts it is given up.
    """
    postponed = PostponedExtractions(again.store)
    first_error: Exception | None = None
    for crash_id in postponed.ids():
        if is_interrupted():
            return False
        try:
            _attempt(again, postponed, crash_id)
        except _NOT_THE_CRASH:
            raise
        except Exception as error:
            first_error = first_error or error
    if first_error:
        raise first_error
    return True


def _attempt(again: Reextraction, postponed: PostponedExtractions, crash_id: str) -> None:
    """Extract one crash in full, and take it off the list."""
    with suppress(DamagedRecord):  # removed meanwhile
        crash = again.store.load(crash_id)
        if postponed.attempts(crash_id) >= _MOST_ATTEMPTS:
            _give_up(again.store, crash_id, _FAILED)
        elif crash.extraction.postponed and crash.texts_removed_at is None:
            postponed.begin(crash_id)
            try:
                _extract_in_full(again, crash)
            except _NOT_THE_CRASH:
                postponed.forget_last(crash_id)
                raise
    postponed.remove(crash_id)


def _extract_in_full(again: Reextraction, crash: Crash) -> None:
    try:
        if again.store.has_core(crash.id):
            again.extract_kept(crash.id, _IN_FULL)
            return
        reason = _WAS_REMOVED
    except DamagedCore:
        reason = _IS_DAMAGED
    _give_up(again.store, crash.id, reason, lacks_core=True)


def _give_up(store: Store, crash_id: str, reason: str, *, lacks_core: bool = False) -> None:
    """Record why there is no full extraction. Without a usable core, advise nobody to read it."""

    def update(crash: Crash) -> Crash:
        notes = (*crash.extraction.notes, reason)
        noted = replace(crash, extraction=replace(crash.extraction, postponed=False, notes=notes))
        return without_core_advice(store, noted) if lacks_core else noted

    store.change(crash_id, update)
