"""Diagnose one core from what gdb has written about it: text and values to the result of an analysis."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.backtrace import lock_listing
from astbtd.backtrace.lock_listing import LockListing
from astbtd.backtrace.parser import Backtrace, parse
from astbtd.diagnosis.advice import without_core
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.verdict import Evidence, diagnose_context
from astbtd.extraction.build_ids import MappedObject, to_record
from astbtd.extraction.extracted_core import ExtractionResult, ReadableCore
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.package_owner import find_package
from astbtd.extraction.symbol_packages import advise_symbols
from astbtd.lib import files
from astbtd.model.crash import (
    Asterisk,
    Extraction,
    LackingSymbols,
    MappedFile,
    ObjectState,
    ReplacedFile,
    Section,
    Site,
)
from astbtd.model.diagnosis import Diagnosis
from astbtd.pipeline.crash_site import FrameLocator
from astbtd.pipeline.lacking_symbols import find_lacking, lacking_builds

_MAX_LOCKS = 1 << 24  # characters of locks.txt

_Version = tuple[int, int]  # of a file: its size in bytes, and when it was written, in nanoseconds since 1970
_MISSING = (0, 0)


@dataclass(frozen=True)
class AnalysisResult:
    """The result of an analysis: what is known about a crash besides the facts in its core's notes."""

    extraction: Extraction
    asterisk: Asterisk
    diagnosis: Diagnosis
    site: Site | None = None
    objects: tuple[MappedFile, ...] | None = None
    lacking_symbols: tuple[LackingSymbols, ...] | None = None

    def with_note(self, note: str) -> "AnalysisResult":
        """Return the same result with one more note, which is a reason as well."""
        extraction = replace(self.extraction, notes=(*self.extraction.notes, note))
        diagnosis = replace(self.diagnosis, reasons=(*self.diagnosis.reasons, f"{note[0].upper()}{note[1:]}."))
        return replace(self, extraction=extraction, diagnosis=diagnosis)

    def without_core(self) -> "AnalysisResult":
        """Return the same result for a core that is not kept: without advice to read it."""
        return replace(self, diagnosis=replace(self.diagnosis, advice=without_core(self.diagnosis.advice)))


class CoreDiagnosis:
    """The diagnosis of a core whose sections are written to `directory`. Parts of it can be done while gdb runs."""

    def __init__(self, core: ReadableCore, directory: Path) -> None:
        self._core = core
        self._directory = directory
        self._locator = FrameLocator.from_core(core.descriptor)
        self._read: tuple[_Version, Backtrace] | None = None

    def read_backtrace(self) -> Backtrace:
        """Parse backtrace.txt, unless it is the same as at the last call."""
        path = self._directory / Section.BACKTRACE
        version = _version(path)
        if self._read is None or self._read[0] != version:
            self._read = version, parse(files.text_pieces(path))
        return self._read[1]

    def diagnose(self, extractor: Extractor, extracted: ExtractionResult, began: float) -> AnalysisResult:
        """Diagnose what `extractor` returned. It was started at `began`, in seconds since 1970."""
        facts = self._core.facts
        context = CrashContext(self.read_backtrace(), self._evidence(extractor, extracted))
        site = self._locator.site(context.located_stack, facts.site)
        diagnosis = diagnose_context(context)
        objects = to_record(extracted.mapped)
        threads = () if extracted.extraction.brief else context.backtrace.threads
        builds = lacking_builds(facts.process.build_id, objects, threads)
        lacking = find_lacking(builds, extractor.debug_directories.split(":"), began)
        return AnalysisResult(extracted.extraction, extracted.asterisk, diagnosis, site, objects, lacking)

    def _evidence(self, extractor: Extractor, extracted: ExtractionResult) -> Evidence:
        facts = self._core.facts
        return Evidence(
            signal=facts.signal,
            lwp=facts.process.tid,
            asterisk=extracted.asterisk,
            extraction=extracted.extraction,
            truncated=facts.truncated,
            container=facts.process.container is True and extractor.settings.container_root is None,
            changed_binary=extracted.objects.changed,
            unreadable=extracted.objects.missing,
            abort_message=extracted.abort_message,
            states=extracted.thread_states,
            locks=_read_locks(self._directory),
            frame_count=extracted.crashed_frames,
            executable=facts.process.executable,
            package_of=find_package,
            advise_symbols=advise_symbols,
            sent_by=facts.sent_by,
            replaced=_replaced_files(extracted.mapped),
            locate=self._locator.locate,
        )


def _version(path: Path) -> _Version:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return _MISSING
    return status.st_size, status.st_mtime_ns


def _replaced_files(mapped: Iterable[MappedObject]) -> tuple[ReplacedFile, ...]:
    return tuple(ReplacedFile(each.path, each.replaced_at) for each in mapped if each.state is ObjectState.REPLACED)


def _read_locks(directory: Path) -> LockListing:
    with files.open_text(directory / Section.LOCKS) as text:
        return lock_listing.parse(text.read(_MAX_LOCKS))
