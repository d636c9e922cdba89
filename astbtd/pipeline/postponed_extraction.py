"""Extract kept cores in full that were extracted only in part, because too many new sites appeared at once.

A file in the store has the ids of these crashes, so that none is forgotten when the daemon is stopped or killed.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.lib import files
from astbtd.model.crash import Crash
from astbtd.pipeline.reextraction import Reextraction
from astbtd.pipeline.removed_core import without_core_advice
from astbtd.store.core_archive import DamagedCore
from astbtd.store.store import DamagedRecord, Store

_IN_FULL = "it was extracted only in part before"
_WAS_REMOVED = "only the crashed thread was extracted: the core was removed before it could be extracted in full"
_IS_DAMAGED = "only the crashed thread was extracted: the kept core is damaged"


@dataclass(frozen=True)
class PostponedExtractions:
    """The list of crashes to extract in full, oldest first. Used by the worker's thread only."""

    store: Store

    def ids(self) -> tuple[str, ...]:
        """Return the ids."""
        try:
            return tuple(self._path.read_text().split())
        except FileNotFoundError:
            return ()

    def add(self, crash_id: str) -> None:
        """Add a crash, durably. Called before its record is committed."""
        self._write((*(each for each in self.ids() if each != crash_id), crash_id))

    def remove(self, crash_id: str) -> None:
        """Remove a crash from the list."""
        self._write(tuple(each for each in self.ids() if each != crash_id))

    def _write(self, ids: tuple[str, ...]) -> None:
        if ids:
            files.replace(self._path, "\n".join(ids).encode(), files.PRIVATE_FILE_MODE)
        else:
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.store.incoming / "postponed"


def extract_postponed(again: Reextraction, is_interrupted: Callable[[], bool]) -> bool:
    """Extract all cores on the list. Return False if `is_interrupted` returned True before the last one.

    Raise AstbtdError if a core cannot be extracted now: it stays on the list.
    """
    postponed = PostponedExtractions(again.store)
    for crash_id in postponed.ids():
        if is_interrupted():
            return False
        with suppress(DamagedRecord):  # removed meanwhile
            _extract_in_full(again, again.store.load(crash_id))
        postponed.remove(crash_id)
    return True


def _extract_in_full(again: Reextraction, crash: Crash) -> None:
    if not crash.extraction.postponed or crash.texts_removed_at is not None:
        return
    if not again.store.has_core(crash.id):
        _give_up(again.store, crash.id, _WAS_REMOVED)
        return
    try:
        again.extract_kept(crash.id, _IN_FULL)
    except DamagedCore:
        _give_up(again.store, crash.id, _IS_DAMAGED)


def _give_up(store: Store, crash_id: str, reason: str) -> None:
    """Record why there is no full extraction, and advise nobody to read the core."""

    def update(crash: Crash) -> Crash:
        notes = (*crash.extraction.notes, reason)
        noted = replace(crash, extraction=replace(crash.extraction, postponed=False, notes=notes))
        return without_core_advice(store, noted)

    store.change(crash_id, update)
