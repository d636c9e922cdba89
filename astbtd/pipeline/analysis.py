"""Analyze one core: run gdb, diagnose its output, write the report. In a crash loop, less is done."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from astbtd.backtrace import lock_listing
from astbtd.backtrace.lock_listing import LockListing
from astbtd.diagnosis.advice import without_core
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.report import render
from astbtd.diagnosis.verdict import Evidence, diagnose, diagnose_context
from astbtd.extraction.build_ids import MappedObject, to_record
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import NO_EXTRACTION, Extractor
from astbtd.extraction.package_owner import find_package
from astbtd.extraction.symbol_packages import advise_symbols
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import (
    REPORT_FILE,
    Asterisk,
    CoreFacts,
    Crash,
    Extraction,
    ExtractionOutcome,
    LackingSymbols,
    LostCore,
    MappedFile,
    ObjectState,
    ReplacedFile,
    Section,
    Site,
    Symbols,
)
from astbtd.model.diagnosis import Diagnosis
from astbtd.pipeline.crash_site import FrameLocator, logged_site, program_key, site_key
from astbtd.pipeline.lacking_symbols import find_lacking, lacking_builds
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.new_sites import MOST as MOST_NEW_SITES
from astbtd.store.store import DamagedRecord, Store

_CHUNK = 1 << 16  # characters of a backtrace that are read at a time
_MAX_LOCKS = 1 << 24  # characters of locks.txt
_MAX_EXCERPT = 1 << 20  # characters of the crashed thread in the report
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
_WITHOUT_GDB = Extraction(None, 0.0, ExtractionOutcome.OK, {}, Symbols.LAZY, brief=True)


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


@dataclass(frozen=True)
class CoreAnalyzer:
    """Analyzes cores; the cores of a crash loop only as far as necessary.

    `may_postpone`: the core will be kept, so that most of the work can be done later.
    """

    store: Store
    extractor: Extractor
    loops: CrashLoops
    may_postpone: bool

    def analyze(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:
        """Analyze the core open at `core`; write the sections to the empty directory `staged`.

        If there is no core, `loss` is the reason. Raises what Extractor.extract raises.
        """
        if loss:
            nothing = NO_EXTRACTION
            diagnosis = diagnose("", Evidence(loss=loss))
            return AnalysisResult(nothing.extraction, nothing.asterisk, diagnosis, site=logged_site(loss.frame))
        return self._reuse_result(facts) or self._run_gdb(core, facts, staged)

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

    def _run_gdb(self, core: int, facts: CoreFacts, staged: Path) -> AnalysisResult:
        """Analyze the core with gdb. Extract the crashed thread first if that may be enough for now.

        It is enough for one more crash of a loop, and for a new site if there are many of them: that one is extracted
        in full later.
        """
        program = program_key(facts.process)
        many_new = self.may_postpone and self.loops.new_sites.are_many(program, facts.crashed_at)
        if many_new or self.loops.has_loop_of(program):
            result = analyze_core(core, facts, staged, self.extractor, crash_thread_only=True)
            key = site_key(facts.process, result.site)
            if self.loops.contains_key(key):
                return result.with_note(_IN_LOOP).without_core()
            if many_new and self.loops.new_sites.is_new(program, key):
                postponed = result.with_note(_POSTPONED)
                return replace(postponed, extraction=replace(postponed.extraction, brief=False, postponed=True))
            self.store.stage(facts.crash_id)
        return analyze_core(core, facts, staged, self.extractor)


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

    def analyze(self, core: int, facts: CoreFacts, staged: Path, loss: LostCore | None) -> AnalysisResult:  # noqa: ARG002
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


def analyze_core(
    core: int, facts: CoreFacts, directory: Path, extractor: Extractor, *, crash_thread_only: bool = False
) -> AnalysisResult:
    """Extract the core open at `core` into the empty `directory` and diagnose the backtrace.

    With `crash_thread_only`, only as much is extracted as is needed to recognize a crash of a loop. Raises what
    Extractor.extract raises.
    """
    began = time.time()
    extracted = extractor.extract(core, facts, directory, crash_thread_only=crash_thread_only)
    locator = FrameLocator.from_core(core)
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
        locks=_read_locks(directory),
        frame_count=extracted.crashed_frames,
        executable=facts.process.executable,
        package_of=find_package,
        advise_symbols=advise_symbols,
        sent_by=facts.sent_by,
        replaced=_replaced_files(extracted.mapped),
        locate=locator.locate,
    )
    with files.open_text(directory / Section.BACKTRACE) as text:
        context = CrashContext.from_text(iter(partial(text.read, _CHUNK), ""), evidence)
    site = locator.site(context.located_stack, facts.site)
    diagnosis = diagnose_context(context)
    objects = to_record(extracted.mapped)
    threads = () if crash_thread_only else context.backtrace.threads
    builds = lacking_builds(facts.process.build_id, objects, threads)
    lacking = find_lacking(builds, extractor.debug_directories.split(":"), began)
    return AnalysisResult(extracted.extraction, extracted.asterisk, diagnosis, site, objects, lacking)


def _replaced_files(mapped: Iterable[MappedObject]) -> tuple[ReplacedFile, ...]:
    return tuple(ReplacedFile(each.path, each.replaced_at) for each in mapped if each.state is ObjectState.REPLACED)


def _read_locks(directory: Path) -> LockListing:
    with files.open_text(directory / Section.LOCKS) as text:
        return lock_listing.parse(text.read(_MAX_LOCKS))


def write_report(crash: Crash, directory: Path, group: int = -1) -> None:
    """Write report.txt next to the sections."""
    files.write_new(directory / REPORT_FILE, render_report(crash, directory), group=group)


def render_report(crash: Crash, directory: Path) -> bytes:
    """Return the content of report.txt; the sections are in `directory`.

    An internal error must not cost the record: the report is then replaced by the error.
    """
    try:
        with files.open_text(directory / Section.THREAD1) as thread:
            return render(crash, thread.read(_MAX_EXCERPT)).encode(errors="replace")
    except OSError:
        raise
    except Exception as error:
        return _replacement_report(crash, error).encode(errors="replace")


def _replacement_report(crash: Crash, error: Exception) -> str:
    description = printable_line(f"{type(error).__name__}: {error}")
    sections = ", ".join(sorted(crash.extraction.sections)) or "there are none"
    return (
        f"Crash {crash.id}\n\n"
        f"internal error while writing this report: {description}\n"
        f"hint: the record (crash.json) and the sections are complete ({sections}). Report this internal error of "
        "astbtd; `astbtd fsck` writes the report again once it is fixed and this file is removed.\n"
    )
