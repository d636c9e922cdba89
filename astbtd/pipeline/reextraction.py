"""Repeat the extraction of a recorded crash with today's symbols, and keep the better result.

All work is done in a private directory, which the next start removes if it was interrupted. The old result stands until
the new one replaces it in one rename.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from astbtd.diagnosis.signature import versioned_rule
from astbtd.errors import AstbtdError
from astbtd.extraction.extracted_core import opened_before
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files
from astbtd.model.crash import CoreState, Crash, CrashSignature, ExtractionRun, Verdict
from astbtd.model.diagnosis import DecidedSignature, Diagnosis
from astbtd.pipeline.core_diagnosis import AnalysisResult
from astbtd.pipeline.crash_report import write_report
from astbtd.pipeline.gdb_analysis import analyze_core
from astbtd.pipeline.kept_core import opened_core, recorded_facts
from astbtd.store.core_archive import Progress
from astbtd.store.occurrence import assign_occurrence, lower_after, number_postponed, postpone_numbering
from astbtd.store.replacement import replace_texts
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store

OpenCore = Callable[[Path], AbstractContextManager[int]]
"""Opens a core that gdb's user can read; the path is a private directory for a temporary copy."""

_FIRST = "the core was collected"
_LOCK = "extracting-again"
_MAX_RUNS = 20  # in the history: the first one, and the latest
_RANK = {Verdict.UNUSABLE: 0, Verdict.PARTIAL: 1, Verdict.USABLE: 2}


@dataclass(frozen=True)
class ExtractedAgain:
    """The records before and after. `worse` is the verdict of a new result that was not kept, None if it was."""

    before: Crash
    after: Crash
    worse: Verdict | None = None

    @property
    def became_usable(self) -> bool:
        """True if the backtrace is usable now and was not before."""
        verdicts = self.before.diagnosis.verdict, self.after.diagnosis.verdict
        return verdicts[0] is not Verdict.USABLE and verdicts[1] is Verdict.USABLE


@dataclass(frozen=True)
class Reextraction:
    """Extracts recorded crashes again. `progress` is called while a core is decompressed, and may raise to stop."""

    store: Store
    extractor: Extractor
    reserve: DiskReserve
    progress: Progress

    def extract_kept(self, crash_id: str, why: str) -> ExtractedAgain:
        """Extract the kept core of a crash again. `why` is for the history in the record.

        Raise DamagedRecord, NoRoom, GdbCannotStart, or AstbtdError if the core is not kept; nothing is changed then.
        """
        crash = self.store.load(crash_id)
        if not self.store.has_core(crash_id):
            raise AstbtdError(f"the core of crash {crash_id} is not kept", _how_to_read(crash))
        group = self.extractor.user.gid

        def open_core(private: Path) -> AbstractContextManager[int]:
            return opened_core(self.store, crash, private / "core", group, self.reserve, self.progress)

        return self.extract(crash, open_core, why)

    def extract(self, crash: Crash, open_core: OpenCore, why: str, executable: str | None = None) -> ExtractedAgain:
        """Do the same with a core that `open_core` opens. `executable` replaces the program that the record names."""
        if crash.texts_removed_at is not None:
            raise AstbtdError(f"retention has removed the texts of crash {crash.id}", "use --output DIR CORE")
        with (
            files.wrap_os_error(f"cannot extract crash {crash.id} again"),
            files.locked(self.store.incoming / _LOCK),
            files.private_directory(self.store.incoming) as private,
        ):
            staged = private / "texts"
            files.make_directory(staged, group=self.store.group)
            with open_core(private) as core:
                facts = recorded_facts(core, crash)
                if executable:
                    facts = replace(facts, process=replace(facts.process, executable=executable))
                result = analyze_core(opened_before(core, facts), staged, self.extractor)
            before = self.store.load(crash.id)
            if _is_worse(result.diagnosis, before):
                run = _run(f"{why}; the result was not kept", result.diagnosis)
                after = self.store.change(crash.id, lambda stored: _with_run(stored, run, result))
                return ExtractedAgain(before, after, result.diagnosis.verdict)
            return ExtractedAgain(before, self._replace(before, result, staged, why))

    def _replace(self, crash: Crash, result: AnalysisResult, staged: Path, why: str) -> Crash:
        """Replace texts and record, then correct the numbers of other crashes, which are always increasing."""
        postpone_numbering(self.store, crash)
        signature = self._number(crash, result.diagnosis.signature)

        def update(stored: Crash) -> Crash:
            return replace(
                _with_run(stored, _run(why, result.diagnosis), result),
                extraction=result.extraction,
                asterisk=result.asterisk,
                diagnosis=result.diagnosis,
                kind=result.diagnosis.kind,
                site=result.site,
                objects=result.objects,
                signature=signature,
            )

        after = replace_texts(
            self.store, crash.id, staged, update, lambda new: write_report(new, staged, self.store.group)
        )
        if crash.signature and (signature is None or signature.id != crash.signature.id):
            lower_after(self.store, crash)
        number_postponed(self.store)
        return self.store.load(after.id)

    def _number(self, crash: Crash, decided: DecidedSignature | None) -> CrashSignature | None:
        """Return the new signature of a crash. One that stays keeps its number."""
        if decided is None:
            return None
        before, rule = crash.signature, versioned_rule(decided)
        if before is not None and before.id == decided.id:
            return replace(before, text=decided.text, rule=rule)
        first = CrashSignature(decided.id, decided.text, 1, crash.crashed_at, rule=rule)
        return first if crash.foreign else assign_occurrence(self.store, first, crash.id, crash.asterisk.version)


def _is_worse(new: Diagnosis, crash: Crash) -> bool:
    """Return whether a new result is worse than that of a whole extraction before."""
    old = crash.diagnosis
    return not crash.extraction.postponed and (_RANK[new.verdict], new.quality) < (_RANK[old.verdict], old.quality)


def _run(why: str, diagnosis: Diagnosis) -> ExtractionRun:
    return ExtractionRun(datetime.now(UTC), why, diagnosis.quality, diagnosis.verdict)


def _with_run(crash: Crash, run: ExtractionRun, result: AnalysisResult) -> Crash:
    """Return the record with one more extraction in its history, and what that one lacked.

    The history begins with the first extraction.
    """
    first = ExtractionRun(crash.collected_at, _FIRST, crash.diagnosis.quality, crash.diagnosis.verdict)
    history = (*(crash.extraction_history or (first,)), run)
    if len(history) > _MAX_RUNS:
        history = (history[0], *history[1 - _MAX_RUNS :])
    return replace(crash, extraction_history=history, lacking_symbols=result.lacking_symbols)


def _how_to_read(crash: Crash) -> str:
    if crash.core.state is CoreState.LEFT:
        return f"it was left in its place: astbtd extract {crash.core.path}"
    return "a removed core cannot be read again"
