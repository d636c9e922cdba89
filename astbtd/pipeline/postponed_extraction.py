"""Extract kept cores in full that were extracted only in part, because too many new sites appeared at once.

A file in the store has the ids of these crashes, so that none is forgotten when the daemon is stopped or killed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.elf.core_notes import NotACore, read_facts
from astbtd.errors import AstbtdError
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, CoreFacts, Crash
from astbtd.pipeline.analysis import AnalysisResult, analyze_core, render_report
from astbtd.store.core_archive import Progress, decompress_core
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import DamagedRecord, Store

_NOT_EXTRACTED = "only the crashed thread was extracted: the core was removed before it could be extracted in full"


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
            self.store.change(crash.id, _without_full_extraction)
            return
        staged = self.store.stage(crash.id)
        try:
            with self._decompressed(crash) as core:
                result = analyze_core(core, _facts(core, crash), staged, self.extractor)
            self._replace_result(crash.id, result, staged)
        finally:
            files.remove_tree(staged)

    @contextmanager
    def _decompressed(self, crash: Crash) -> Iterator[int]:
        """Yield a descriptor of the core, decompressed into a private file."""
        self.reserve.check(crash.core.size)
        path = self.store.incoming / f"{crash.id}.core"
        path.unlink(missing_ok=True)
        descriptor = files.create(path, files.PRIVATE_FILE_MODE)
        try:
            decompress_core(self.store.kept_core(crash.id), descriptor, self.progress)
            reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(descriptor)
        try:
            yield reader
        finally:
            os.close(reader)
            path.unlink(missing_ok=True)

    def _replace_result(self, crash_id: str, result: AnalysisResult, staged: Path) -> None:
        """Replace the texts, then the record. If interrupted between the two, the extraction is repeated."""

        def update(crash: Crash) -> Crash:
            # The signature stays: the crashed thread was extracted before, and decides it.
            diagnosis = replace(result.diagnosis, signature=crash.diagnosis.signature)
            after = replace(crash, extraction=result.extraction, asterisk=result.asterisk, diagnosis=diagnosis)
            files.write_new(staged / REPORT_FILE, render_report(after, staged), group=self.store.group)
            files.sync_tree(staged)
            directory = self.store.directory(crash_id)
            for text in sorted(staged.iterdir()):
                text.rename(directory / text.name)
            files.sync_directory(directory)
            return after

        self.store.change(crash_id, update)


def _facts(core: int, crash: Crash) -> CoreFacts:
    """Return the facts of a kept core. What depends on the original file, or on its collector, is in the record."""
    try:
        facts = read_facts(core)
    except NotACore as error:
        raise AstbtdError(f"the kept core of {crash.id} cannot be read: {error}", "astbtd fsck") from error
    return replace(
        facts,
        identity=crash.core.identity,
        crashed_at=crash.crashed_at,
        process=crash.process,
        signal=crash.signal,
        truncated=crash.core.truncated,
    )


def _without_full_extraction(crash: Crash) -> Crash:
    notes = (*crash.extraction.notes, _NOT_EXTRACTED)
    return replace(crash, extraction=replace(crash.extraction, postponed=False, notes=notes))
