"""Diagnoses a backtrace: what it says about the crash, and whether a developer can work with it."""

from collections.abc import Iterable, Sequence

from astbtd.diagnosis import (
    cause_findings,
    damage_findings,
    extraction_findings,
    kind_findings,
    text_findings,
    third_party,
)
from astbtd.diagnosis.crash_context import CrashContext, Evidence
from astbtd.diagnosis.crash_thread import is_known_to_have_crashed
from astbtd.diagnosis.finding import WORST_FIRST, Finding, FindingRule
from astbtd.diagnosis.headline import write_headline
from astbtd.diagnosis.quality import grade_backtrace, limit_quality, verdict_of_grade
from astbtd.diagnosis.sender import find_sender, is_watchdog
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Diagnosis, Kind

__all__ = ["Evidence", "diagnose"]

_NO_EVIDENCE = Evidence()

# In the order in which their reasons and advice are shown, after the worst ones.
_RULES: tuple[FindingRule, ...] = (
    kind_findings.find_no_backtrace,
    kind_findings.find_missing_crash_thread,
    kind_findings.find_running_process,
    kind_findings.find_sent_signal,
    damage_findings.find_replaced_files,
    damage_findings.find_jump,
    third_party.find_third_party,
    damage_findings.find_overwritten_stack,
    extraction_findings.find_gdb_failure,
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
    kind_findings.find_tool_report,
    cause_findings.find_recursion,
    cause_findings.find_memory_corruption,
    cause_findings.find_invalid_lock,
    cause_findings.find_out_of_memory,
    cause_findings.find_use_after_free,
    cause_findings.find_hang,
    kind_findings.find_failed_assertion,
    text_findings.find_unparsed_text,
    cause_findings.find_deadlock,
)


def diagnose(text: str | Iterable[str], evidence: Evidence = _NO_EVIDENCE) -> Diagnosis:
    """Diagnose a backtrace, which may come in pieces. No text raises an error: junk is unusable."""
    return diagnose_context(CrashContext.from_text(text, evidence))


def diagnose_context(context: CrashContext) -> Diagnosis:
    """Diagnose a backtrace that is parsed already."""
    evidence = context.evidence
    backtrace, thread = context.backtrace, context.thread
    grade = grade_backtrace(backtrace, thread, context.codeless_levels)
    findings = _apply_rules(context)
    verdict = _worst([verdict_of_grade(grade), *(finding.best for finding in findings)])
    quality = limit_quality(grade, verdict)
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
        advice=_collect_advice(context, findings),
        signature=context.signature,
        kind=context.kind,
        headline=write_headline(context),
    )


_RULES_WITHOUT_CRASH: tuple[FindingRule, ...] = (
    kind_findings.find_running_process,
    text_findings.find_unparsed_text,
    cause_findings.find_deadlock,
)


def _apply_rules(context: CrashContext) -> list[Finding]:
    """Return all findings, the worst first. Nothing is missing in a text that shows no crash."""
    rules = _RULES_WITHOUT_CRASH if context.kind is Kind.LIVE and not context.has_core else _RULES
    findings = [finding for rule in rules if (finding := rule(context))]
    return sorted(findings, key=lambda finding: WORST_FIRST.index(finding.best))


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=WORST_FIRST.index)


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
    if context.kind is Kind.DEADLOCK:
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
    lacking = f"Too many frames lack a function, a file or a line (quality {quality:g})."
    explains_verdict = any(finding.best is verdict for finding in findings)
    return reasons if explains_verdict else (lacking, *reasons)


def _collect_advice(context: CrashContext, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the advice of all findings. If a signal was sent, why matters more than what its backtrace lacks."""
    advice = _unique(line for finding in findings for line in finding.advice)
    sender = find_sender(context)
    if sender is None:
        return advice
    is_no_fault = not is_watchdog(context) and not context.deadlocked_functions
    return sender.advice if is_no_fault else _unique((*sender.advice, *advice))


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
