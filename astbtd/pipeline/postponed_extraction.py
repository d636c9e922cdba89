"""Extract kept cores in full that were extracted only in part, because too many new sites appeared at once.

A file in the store has the ids of these crashes, so that none is forgotten when the daemon is stopped or killed.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files
from astbtd.model.crash import Crash
from astbtd.pipeline.analysis import AnalysisResult, analyze_core, write_report
from astbtd.pipeline.kept_core import opened_core, recorded_facts
from astbtd.pipeline.removed_core import without_core_advice
from astbtd.store.core_archive import DamagedCore, Progress
from astbtd.store.replacement import replace_texts
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import DamagedRecord, Store

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


@dataclass(frozen=True)
class FullExtraction:
    """Extracts kept cores again. `progress` is called while a core is decompressed, and may raise to interrupt that."""

    store: Store
    extractor: Extractor
    reserve: DiskReserve
    progress: Progress

    def run(self, is_interrupted: Callable[[], bool]) -> bool:
        """Extract all cores on the list. Return False if `is_interrupted` returned True before the last one.

        Raise AstbtdError if a core cannot be extracted now: it stays on the list.
        """
        postponed = PostponedExtractions(self.store)
        for crash_id in postponed.ids():
            if is_interrupted():
                return False
            with suppress(DamagedRecord):  # removed meanwhile
                self._extract(self.store.load(crash_id))
            postponed.remove(crash_id)
        return True

    def _extract(self, crash: Crash) -> None:
        if not crash.extraction.postponed or crash.texts_removed_at is not None:
            return
        if not self.store.has_core(crash.id):
            self._give_up(crash.id, _WAS_REMOVED)
            return
        staged = self.store.stage(crash.id)
        try:
            path = self.store.incoming / f"{crash.id}.core"
            group = self.extractor.user.gid
            with opened_core(self.store, crash, path, group, self.reserve, self.progress) as core:
                result = analyze_core(core, recorded_facts(core, crash), staged, self.extractor)
            self._replace_result(crash.id, result, staged)
        except DamagedCore:
            self._give_up(crash.id, _IS_DAMAGED)
        finally:
            files.remove_tree(staged)

    def _replace_result(self, crash_id: str, result: AnalysisResult, staged: Path) -> None:
        """Replace the texts and the record in one step."""

        def update(crash: Crash) -> Crash:
            # The signature stays: the crashed thread was extracted before, and decides it.
            diagnosis = replace(result.diagnosis, signature=crash.diagnosis.signature)
            return replace(crash, extraction=result.extraction, asterisk=result.asterisk, diagnosis=diagnosis)

        replace_texts(self.store, crash_id, staged, update, lambda new: write_report(new, staged, self.store.group))

    def _give_up(self, crash_id: str, reason: str) -> None:
        """Record why there is no full extraction, and advise nobody to read the core."""

        def update(crash: Crash) -> Crash:
            notes = (*crash.extraction.notes, reason)
            noted = replace(crash, extraction=replace(crash.extraction, postponed=False, notes=notes))
            return without_core_advice(self.store, noted)

        self.store.change(crash_id, update)
