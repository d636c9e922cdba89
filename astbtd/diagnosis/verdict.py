"""Says what a backtrace tells of a crash, and whether a developer can work with it."""

from collections.abc import Iterable, Sequence

from astbtd.diagnosis.crash_context import CrashContext, is_crash_thread
from astbtd.diagnosis.evidence import Evidence
from astbtd.diagnosis.findings import GRAVEST_FIRST, Finding, findings
from astbtd.diagnosis.quality import quality
from astbtd.model.crash import Diagnosis, Verdict

__all__ = ["Evidence", "diagnose"]

_USABLE, _PARTIAL = 0.8, 0.3  # the lowest quality of each verdict
_NOTHING_KNOWN = Evidence()


def diagnose(text: str | Iterable[str], evidence: Evidence = _NOTHING_KNOWN) -> Diagnosis:
    """The diagnosis of a backtrace's text, or of the pieces it comes in: junk gives an unusable one, no exception."""
    case = CrashContext.of(text, evidence)
    grade = quality(case.backtrace, case.thread)
    found = findings(case)
    verdict = min([_by_quality(grade), *(finding.best for finding in found)], key=GRAVEST_FIRST.index)
    return Diagnosis(
        signal=case.signal,
        crash_thread=_number(case),
        top_frame=_top_frame(case),
        crash_function=case.crash_function,
        threads=len(case.backtrace.threads) + case.backtrace.threads_left_out,
        frames=case.thread.count if case.thread else 0,
        optimized=case.backtrace.optimized,
        missing_symbols=any(frame.function is None and "??" in frame.text for frame in case.frames),
        memory_corruption=case.memory_corruption,
        debug_threads=case.debug_threads,
        deadlock=_deadlocked(case),
        quality=grade,
        verdict=verdict,
        reasons=_reasons(found, evidence, verdict, grade),
        advice=_unique(line for finding in found for line in finding.advice),
        signature=case.signature,
    )


def _by_quality(grade: float) -> Verdict:
    if grade >= _USABLE:
        return Verdict.USABLE
    return Verdict.PARTIAL if grade >= _PARTIAL else Verdict.UNUSABLE


def _number(case: CrashContext) -> int | None:
    return case.thread.number if case.thread and is_crash_thread(case.thread) else None


def _deadlocked(case: CrashContext) -> bool | None:
    """By the locks where they can be read; of a core whose locks cannot, the text proves no more than that it hung."""
    if case.locks:
        return case.locks.cycle is not None
    had_a_core = case.evidence.extraction or case.evidence.loss
    return None if case.crashed and had_a_core else not case.crashed


def _top_frame(case: CrashContext) -> str | None:
    if not case.thread or case.thread.locks or not case.frames or case.frames[0].level != 0:
        return None
    return case.frames[0].function


def _reasons(found: Sequence[Finding], evidence: Evidence, verdict: Verdict, grade: float) -> tuple[str, ...]:
    notes = evidence.extraction.notes if evidence.extraction else ()
    reasons = _unique([*(finding.reason for finding in found), *notes])
    if verdict is Verdict.USABLE:
        return ("The frames of the crash thread name their functions, files and lines.", *reasons)
    return reasons or (f"Too many frames lack a function, a file or a line (quality {grade}).",)


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
