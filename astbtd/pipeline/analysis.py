"""Analyze one core: run gdb, diagnose its output, write the report. In a crash loop, less is done."""

from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TextIO

from astbtd.diagnosis.report import render
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.extraction.gdb_runner import NO_EXTRACTION, Extractor
from astbtd.lib import files
from astbtd.model.crash import (
    REPORT_FILE,
    Asterisk,
    CoreFacts,
    Crash,
    Extraction,
    ExtractionOutcome,
    LostCore,
    Section,
    Symbols,
)
from astbtd.model.diagnosis import Diagnosis
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.store import DamagedRecord, Store

_CHUNK = 1 << 16  # characters of a backtrace that are read at a time
_MAX_EXCERPT = 1 << 20  # characters of the crashed thread in the report
_REPORT_INTERNAL_ERROR = (
    "Report this internal error of astbtd. The core is kept: once the error is fixed, write it out with "
    "`astbtd core` and analyze it with `astbtd extract --output`."
)
_WITHOUT_GDB = Extraction(None, 0.0, ExtractionOutcome.OK, {}, Symbols.LAZY, brief=True)


@dataclass(frozen=True)
class AnalysisResult:
    """The result of an analysis: what is known about a crash besides the facts in its core's notes."""

    extraction: Extraction
    asterisk: Asterisk
    diagnosis: Diagnosis


@dataclass(frozen=True)
class CoreAnalyzer:
    """Analyzes cores; the cores of a crash loop only as far as necessary."""

    store: Store
    extractor: Extractor
    loops: CrashLoops

    def analyze(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:
        """Analyze the core open at `core`; write the sections to the empty directory `staged`.

        If there is no core, `loss` is the reason. Raises what Extractor.extract raises.
        """
        if loss:
            nothing = NO_EXTRACTION
            return AnalysisResult(nothing.extraction, nothing.asterisk, diagnose("", Evidence(loss=loss)))
        return self._reuse_result(facts) or self._run_gdb(core, facts, staged)

    def _reuse_result(self, facts: CoreFacts) -> AnalysisResult | None:
        """In a crash loop, return the result of a crash with exactly the same site: gdb would find nothing new."""
        known = self.loops.match_site(facts.site)
        if known is None:
            return None
        try:
            before = self.store.load(known)
        except DamagedRecord:  # retention may have removed it
            self.loops.forget_crash(known)
            return None
        extraction = replace(
            _WITHOUT_GDB, notes=(f"gdb was not run: in a crash loop, and the same site as crash {before.id}",)
        )
        return AnalysisResult(extraction, before.asterisk, before.diagnosis)

    def _run_gdb(self, core: int, facts: CoreFacts, staged: Path) -> AnalysisResult:
        """Analyze the core with gdb; in a crash loop the crashed thread first: it may be one more of the loop."""
        if self.loops.current:
            result = analyze_core(core, facts, staged, self.extractor, crash_thread_only=True)
            signature = result.diagnosis.signature
            if signature is not None and self.loops.contains(signature.id):
                return result
            self.store.stage(facts.crash_id)
        return analyze_core(core, facts, staged, self.extractor)


@dataclass(frozen=True)
class FailedAnalyzer:
    """Replaces CoreAnalyzer, with the same interface, for a core at which that has failed repeatedly.

    `error` describes the exception.
    """

    error: str

    def analyze(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:  # noqa: ARG002
        """Return what the core's notes contain, and the error as the reason why there is no more."""
        note = f"internal error while analyzing this core: {self.error}; see journalctl -u astbtd"
        extraction = replace(NO_EXTRACTION.extraction, ended=ExtractionOutcome.FAILED, notes=(note,))
        evidence = Evidence(
            signal=facts.signal, lwp=facts.process.tid, extraction=extraction, truncated=facts.truncated
        )
        return AnalysisResult(extraction, Asterisk(), replace(diagnose("", evidence), advice=(_REPORT_INTERNAL_ERROR,)))


def analyze_core(
    core: int, facts: CoreFacts, directory: Path, extractor: Extractor, *, crash_thread_only: bool = False
) -> AnalysisResult:
    """Extract the core open at `core` into the empty `directory` and diagnose the backtrace.

    With `crash_thread_only`, only as much is extracted as is needed to recognize a crash of a loop.
    """
    extracted = extractor.extract(core, facts, directory, crash_thread_only=crash_thread_only)
    evidence = Evidence(
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
    )
    with _open_section(directory / Section.BACKTRACE) as text:
        diagnosis = diagnose(iter(partial(text.read, _CHUNK), ""), evidence)
    return AnalysisResult(extracted.extraction, extracted.asterisk, diagnosis)


def write_report(crash: Crash, directory: Path, group: int = -1) -> None:
    """Write report.txt next to the sections."""
    with _open_section(directory / Section.THREAD1) as thread:
        report = render(crash, thread.read(_MAX_EXCERPT))
    files.write_new(directory / REPORT_FILE, report.encode(errors="replace"), group=group)


def _open_section(path: Path) -> TextIO:
    """Open a section, or an empty text if it is missing. Only a newline ends a line."""
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return StringIO()
