"""Makes of one core what is to be recorded: gdb's texts, the diagnosis, the report; in a crash loop less of it."""

from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TextIO

from astbtd.diagnosis.report import render
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.extraction.gdb_runner import NOTHING_EXTRACTED, Extractor
from astbtd.lib import files
from astbtd.model.crash import (
    REPORT_FILE,
    Asterisk,
    CoreFacts,
    Crash,
    Diagnosis,
    Extraction,
    ExtractionOutcome,
    LostCore,
    Section,
    Symbols,
)
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.store import DamagedRecord, Store

_PIECE = 1 << 16  # characters of a backtrace that are read at a time
_LONGEST_EXCERPT = 1 << 20
_REPORT_THE_MISTAKE = (
    "Report the mistake. The core is not lost: once it is mended, `astbtd core` writes it out again, and "
    "`astbtd extract --output` examines it."
)
_WITHOUT_GDB = Extraction(None, 0.0, ExtractionOutcome.OK, {}, Symbols.LAZY, brief=True)


@dataclass(frozen=True)
class AnalysisResult:
    """What is known of a crash besides what its core says by itself."""

    extraction: Extraction
    asterisk: Asterisk
    diagnosis: Diagnosis


@dataclass(frozen=True)
class CoreAnalyzer:
    """Examines each core as far as is worth while."""

    store: Store
    extractor: Extractor
    loops: CrashLoops

    def examined(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:
        """What the core open at `core` tells, its texts in the empty directory `staged`; `loss` says why it is none.

        Raises what Extractor.extract raises.
        """
        if loss:
            nothing = NOTHING_EXTRACTED
            return AnalysisResult(nothing.extraction, nothing.asterisk, diagnose("", Evidence(loss=loss)))
        return self._recognised(facts) or self._by_gdb(core, facts, staged)

    def _recognised(self, facts: CoreFacts) -> AnalysisResult | None:
        """In a crash loop, what a crash at the very same site told: gdb could tell no more."""
        known = self.loops.recognised(facts.site)
        if known is None:
            return None
        try:
            before = self.store.load(known)
        except DamagedRecord:  # it may be that retention has taken it
            self.loops.unlearn(known)
            return None
        extraction = replace(_WITHOUT_GDB, notes=(f"in a crash loop, gdb was not run: it is crash {before.id} again",))
        return AnalysisResult(extraction, before.asterisk, before.diagnosis)

    def _by_gdb(self, core: int, facts: CoreFacts, staged: Path) -> AnalysisResult:
        """In a crash loop, a brief look tells whether it is another crash of the loop, or one to examine in full."""
        if self.loops.current:
            examined = examine(core, facts, staged, self.extractor, brief=True)
            if self.loops.has(examined.diagnosis.signature.id):
                return examined
            self.store.stage(facts.crash_id)
        return examine(core, facts, staged, self.extractor)


@dataclass(frozen=True)
class FailedAnalyzer:
    """In place of an Examiner, for a core that one failed at: `error` is what happened to it."""

    error: str

    def examined(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:  # noqa: ARG002 - as there
        """What the core's notes tell, and why there is no more."""
        note = f"astbtd failed at this core ({self.error}), which is a mistake of its own; see journalctl -u astbtd"
        extraction = replace(NOTHING_EXTRACTED.extraction, ended=ExtractionOutcome.FAILED, notes=(note,))
        evidence = Evidence(
            signal=facts.signal, lwp=facts.process.tid, extraction=extraction, truncated=facts.truncated
        )
        return AnalysisResult(extraction, Asterisk(), replace(diagnose("", evidence), advice=(_REPORT_THE_MISTAKE,)))


def examine(
    core: int, facts: CoreFacts, directory: Path, extractor: Extractor, *, brief: bool = False
) -> AnalysisResult:
    """Extracts the core open at `core` into the empty `directory` and diagnoses what came out."""
    extracted = extractor.extract(core, facts, directory, brief=brief)
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
        states=extracted.states,
    )
    with _opened(directory / Section.BACKTRACE) as text:
        diagnosis = diagnose(iter(partial(text.read, _PIECE), ""), evidence)
    return AnalysisResult(extracted.extraction, extracted.asterisk, diagnosis)


def write_report(crash: Crash, directory: Path, group: int = -1) -> None:
    """Writes report.txt beside the sections."""
    with _opened(directory / Section.THREAD1) as thread:
        report = render(crash, thread.read(_LONGEST_EXCERPT))
    files.write_new(directory / REPORT_FILE, report.encode(errors="replace"), group=group)


def _opened(path: Path) -> TextIO:
    """A section's text, empty where there is none; only a newline ends a line."""
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return StringIO()
