"""Analyze one core as far as necessary: in a crash loop, or if gdb cannot run, less is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.extraction.extracted_core import NO_EXTRACTION, opened_before
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import (
    Asterisk,
    CoreFacts,
    Extraction,
    ExtractionOutcome,
    LostCore,
    Symbols,
)
from astbtd.pipeline.core_diagnosis import AnalysisResult
from astbtd.pipeline.crash_site import logged_site, program_key, site_key
from astbtd.pipeline.gdb_analysis import analyze_core
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.new_sites import MOST as MOST_NEW_SITES
from astbtd.store.store import DamagedRecord, Store

_REPORT_INTERNAL_ERROR = (
    "Report this internal error of astbtd. The core is kept: once the error is fixed, extract it again with "
    "`astbtd extract`."
)
_EXTRACTED_LATER = "The core is kept. The daemon extracts it when gdb works; `astbtd extract ID` does it at once."
_IN_LOOP = (
    "only the crashed thread was extracted, and the core was not kept: in a crash loop, and an earlier crash at the "
    "same site was extracted in full"
)
_POSTPONED = (
    f"only the crashed thread was extracted so far: more than {MOST_NEW_SITES} new sites of this program within ten "
    "minutes; the core is extracted in full when no core is queued"
)
Meanwhile = Callable[[], object]
"""Does other work while gdb runs; may be called repeatedly."""

_WITHOUT_GDB = Extraction(None, 0.0, ExtractionOutcome.OK, {}, Symbols.LAZY, brief=True)


@dataclass(frozen=True)
class CoreAnalyzer:
    """Analyzes cores; the cores of a crash loop only as far as necessary.

    `may_postpone`: the core will be kept, so that most of the work can be done later.
    """

    store: Store
    extractor: Extractor
    loops: CrashLoops
    may_postpone: bool

    def analyze(
        self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None, meanwhile: Meanwhile
    ) -> AnalysisResult:
        """Analyze the core open at `core`; write the sections to the empty directory `staged`.

        If there is no core, `loss` is the reason. `meanwhile` is called while gdb extracts all threads. Raises what
        Extractor.extract raises.
        """
        if loss:
            nothing = NO_EXTRACTION
            diagnosis = diagnose("", Evidence(loss=loss))
            return AnalysisResult(nothing.extraction, nothing.asterisk, diagnosis, site=logged_site(loss.frame))
        return self._reuse_result(facts) or self._run_gdb(core, facts, staged, meanwhile)

    def _reuse_result(self, facts: CoreFacts) -> AnalysisResult | None:
        """In a crash loop, return the result of a crash with exactly the same stack: gdb would find nothing new."""
        known = self.loops.match_fingerprint(facts.process, facts.site)
        if known is None:
            return None
        try:
            before = self.store.load(known)
        except DamagedRecord:  # retention may have removed it
            self.loops.forget_crash(known)
            return None
        note = f"gdb was not run, and the core was not kept: in a crash loop, and the same stack as crash {before.id}"
        result = AnalysisResult(_WITHOUT_GDB, before.asterisk, before.diagnosis, before.site)
        return result.with_note(note).without_core()

    def _run_gdb(self, core: int, facts: CoreFacts, staged: Path, meanwhile: Meanwhile) -> AnalysisResult:
        """Analyze the core with gdb. Extract the crashed thread first if that may be enough for now.

        It is enough for one more crash of a loop, and for a new site if there are many of them: that one is extracted
        in full later.
        """
        program, open_core = program_key(facts.process), opened_before(core, facts)
        many_new = self.may_postpone and self.loops.new_sites.are_many(program, facts.crashed_at)
        if many_new or self.loops.has_loop_of(program):
            result = analyze_core(open_core, staged, self.extractor, crash_thread_only=True)
            key = site_key(facts.process, result.site)
            if self.loops.contains_key(key):
                return result.with_note(_IN_LOOP).without_core()
            if many_new and self.loops.new_sites.is_new(program, key):
                postponed = result.with_note(_POSTPONED)
                return replace(postponed, extraction=replace(postponed.extraction, brief=False, postponed=True))
            self.store.stage(facts.crash_id)
        return analyze_core(open_core, staged, self.extractor, meanwhile=meanwhile)


@dataclass(frozen=True)
class UnexaminedAnalyzer:
    """Replaces CoreAnalyzer, with the same interface, for a core that is recorded without an extraction.

    `reason` says why, `advice` what to do. `awaits_gdb`: it is extracted later, when gdb works.
    """

    reason: str
    advice: tuple[str, ...]
    awaits_gdb: bool = False

    @classmethod
    def after_failures(cls, reason: str) -> "UnexaminedAnalyzer":
        """Return the analyzer for a core at which CoreAnalyzer has failed repeatedly; `reason` says how."""
        return cls(f"{reason}; see journalctl -u astbtd", (_REPORT_INTERNAL_ERROR,))

    @classmethod
    def without_gdb(cls, error: GdbCannotStart) -> "UnexaminedAnalyzer":
        """Return the analyzer for a core that will be kept while gdb cannot start."""
        remedy = f"Make gdb work: {error.remedy}. `astbtd check` says whether it does."
        return cls(error.message, (remedy, _EXTRACTED_LATER), awaits_gdb=True)

    def analyze(
        self,
        core: int,  # noqa: ARG002 - the interface of CoreAnalyzer
        facts: CoreFacts,
        staged: Path,  # noqa: ARG002
        loss: LostCore | None,  # noqa: ARG002
        meanwhile: Meanwhile,  # noqa: ARG002
    ) -> AnalysisResult:
        """Return what the core's notes contain, and the reason why there is no more."""
        extraction = replace(
            NO_EXTRACTION.extraction,
            ended=ExtractionOutcome.FAILED,
            notes=(self.reason,),
            awaits_gdb=self.awaits_gdb,
        )
        evidence = Evidence(
            signal=facts.signal,
            lwp=facts.process.tid,
            extraction=extraction,
            truncated=facts.truncated,
            sent_by=facts.sent_by,
        )
        try:
            diagnosis = diagnose("", evidence)
        except Exception:  # the core's facts are what our code fails at
            diagnosis = diagnose("", Evidence(extraction=extraction))
        return AnalysisResult(extraction, Asterisk(), replace(diagnosis, advice=self.advice))
