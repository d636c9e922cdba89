"""Diagnoses a backtrace: what it says about the crash, and whether a developer can work with it."""

from collections.abc import Iterable, Sequence

from astbtd.diagnosis import cause_findings, extraction_findings, text_findings
from astbtd.diagnosis.crash_context import CrashContext, Evidence, is_known_to_have_crashed
from astbtd.diagnosis.finding import WORST_FIRST, Finding, FindingRule
from astbtd.diagnosis.quality import grade_backtrace
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Diagnosis

__all__ = ["Evidence", "diagnose"]

_MIN_QUALITY_USABLE, _MIN_QUALITY_PARTIAL = 0.8, 0.3
_NO_EVIDENCE = Evidence()

# In the order in which their reasons and advice are shown, after the worst ones.
_RULES: tuple[FindingRule, ...] = (
    extraction_findings.find_missing_frames,
    extraction_findings.find_changed_binary,
    extraction_findings.find_container,
    text_findings.find_no_function,
    extraction_findings.find_incomplete_extraction,
    extraction_findings.find_truncated_core,
    extraction_findings.find_unreadable_objects,
    text_findings.find_missing_symbols,
    text_findings.find_missing_lines,
    text_findings.find_optimized_values,
    extraction_findings.find_unwind_error,
    text_findings.find_gaps,
    cause_findings.find_memory_corruption,
    cause_findings.find_out_of_memory,
    cause_findings.find_use_after_free,
    cause_findings.find_hang,
    text_findings.find_unparsed_text,
    cause_findings.find_deadlock,
)


def diagnose(text: str | Iterable[str], evidence: Evidence = _NO_EVIDENCE) -> Diagnosis:
    """Diagnose a backtrace, which may come in pieces. No text raises an error: junk is unusable."""
    context = CrashContext.from_text(text, evidence)
    backtrace, thread = context.backtrace, context.thread
    quality = grade_backtrace(backtrace, thread)
    findings = _apply_rules(context)
    verdict = _worst([_verdict_by_quality(quality), *(finding.best for finding in findings)])
    return Diagnosis(
        signal=context.signal,
        crash_thread=_crash_thread_number(context),
        top_frame=_top_frame(context),
        crash_function=context.crash_function,
        threads=len(backtrace.threads) + backtrace.threads_omitted,
        frames=thread.frame_count if thread else 0,
        optimized=backtrace.optimized,
        missing_symbols=_has_unknown_function(context),
        memory_corruption=context.memory_corruption,
        debug_threads=context.debug_threads,
        deadlock=_is_deadlock(context),
        quality=quality,
        verdict=verdict,
        reasons=_collect_reasons(findings, evidence, verdict, quality),
        advice=_unique(line for finding in findings for line in finding.advice),
        signature=context.signature,
    )


def _apply_rules(context: CrashContext) -> list[Finding]:
    """Return all findings, the worst first."""
    findings = [finding for rule in _RULES if (finding := rule(context))]
    return sorted(findings, key=lambda finding: WORST_FIRST.index(finding.best))


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=WORST_FIRST.index)


def _verdict_by_quality(quality: float) -> Verdict:
    if quality >= _MIN_QUALITY_USABLE:
        return Verdict.USABLE
    return Verdict.PARTIAL if quality >= _MIN_QUALITY_PARTIAL else Verdict.UNUSABLE


def _crash_thread_number(context: CrashContext) -> int | None:
    thread = context.thread
    return thread.number if thread and is_known_to_have_crashed(thread) else None


def _top_frame(context: CrashContext) -> str | None:
    # `core show locks` prints where the lock is taken, which is not the innermost frame.
    from_lock_listing = context.thread is not None and bool(context.thread.locks)
    if from_lock_listing or not context.frames or context.frames[0].level != 0:
        return None
    return context.frames[0].function


def _has_unknown_function(context: CrashContext) -> bool:
    return any(frame.function is None and "??" in frame.text for frame in context.frames)


def _is_deadlock(context: CrashContext) -> bool | None:
    """Return whether threads wait for one another; None if that is not known.

    If the locks can be read, they decide. Otherwise the text decides. The text cannot prove that a process that crashed
    was not deadlocked as well: if there was a core, whose locks could have been read, the answer is not known.
    """
    if context.lock_analysis:
        return context.lock_analysis.cycle is not None
    if not context.crashed:
        return True
    had_core = context.evidence.extraction or context.evidence.loss
    return None if had_core else False


def _collect_reasons(
    findings: Sequence[Finding], evidence: Evidence, verdict: Verdict, quality: float
) -> tuple[str, ...]:
    notes = evidence.extraction.notes if evidence.extraction else ()
    reasons = _unique([*(finding.reason for finding in findings), *notes])
    if verdict is Verdict.USABLE:
        return ("The frames of the crash thread have functions, files and lines.", *reasons)
    return reasons or (f"Too many frames lack a function, a file or a line (quality {quality}).",)


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
