"""Findings about what happened before there was a text: to the core, to the binary, to gdb."""

from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding, list_names
from astbtd.model.crash import ExtractionOutcome, Verdict

_OUTCOMES = {
    ExtractionOutcome.TIMEOUT: (
        "gdb was stopped because it reached its time limit",
        "Increase `gdb.time` in /etc/astbtd.yaml",
    ),
    ExtractionOutcome.TOO_MUCH_OUTPUT: (
        "gdb was stopped because it reached its output limit",
        "Increase `gdb.output` in /etc/astbtd.yaml",
    ),
    ExtractionOutcome.KILLED: (
        "gdb was killed, probably because memory ran out",
        "Free memory or increase `gdb.address_space` in /etc/astbtd.yaml",
    ),
    ExtractionOutcome.FAILED: ("gdb failed", "Read gdb.log for its messages"),
}


def find_gdb_failure(context: CrashContext) -> Finding | None:
    """gdb could not start: nothing is known of the core yet. The note says why, and its recorder what to do."""
    extraction = context.evidence.extraction
    if not extraction or not extraction.awaits_gdb:
        return None
    return Finding("; ".join(extraction.notes), best=Verdict.UNUSABLE)


def find_missing_frames(context: CrashContext) -> Finding | None:
    """There is no frame of a core: it was lost, or gdb could not read it."""
    if context.frames or not context.has_core or find_gdb_failure(context):
        return None
    if loss := context.evidence.loss:
        return Finding(loss.reason, (loss.remedy,), Verdict.UNUSABLE)
    return Finding(
        "The text contains no stack frame.",
        ("Read gdb.log for gdb's messages about the core.",),
        Verdict.UNUSABLE,
    )


def find_changed_binary(context: CrashContext) -> Finding | None:
    """The program was replaced after it was started, for example by an upgrade."""
    if not context.evidence.changed_binary:
        return None
    return Finding(
        "The installed Asterisk is another build than the one that crashed: function names and lines may be wrong.",
        (
            f"Reinstall the build that crashed, then {advice.EXTRACT_AGAIN}.",
            "Restart Asterisk after every upgrade, so that the running build is the installed one.",
        ),
        Verdict.UNUSABLE,
    )


def find_container(context: CrashContext) -> Finding | None:
    """The files that the core refers to are in a container."""
    if not context.evidence.container:
        return None
    reason = "Asterisk ran in a container: its program and modules are not the files of this machine."
    return Finding(reason, advice.CONTAINER)


def find_incomplete_extraction(context: CrashContext) -> Finding | None:
    """gdb did not finish."""
    extraction = context.evidence.extraction
    if not extraction or extraction.ended is ExtractionOutcome.OK or extraction.awaits_gdb:
        return None
    reason, remedy = _OUTCOMES[extraction.ended]
    return Finding(
        f"{reason}: frames or threads may be missing.",
        (f"{remedy}, then {advice.EXTRACT_AGAIN}.",),
        Verdict.PARTIAL,
    )


def find_truncated_core(context: CrashContext) -> Finding | None:
    """The core file is shorter than its headers say."""
    if not context.evidence.truncated:
        return None
    return Finding(
        "The core file is truncated: memory that gdb needs is missing.",
        (
            "Allow complete cores: set `LimitCORE=infinity` in asterisk.service, and provide enough disk space where "
            "cores are written.",
        ),
        Verdict.PARTIAL,
    )


def find_unreadable_objects(context: CrashContext) -> Finding | None:
    """gdb, which is not root, could not read files of Asterisk. It unwinds wrongly then, without an error."""
    if not context.evidence.unreadable:
        return None
    return Finding(
        f"gdb could not read {list_names(context.evidence.unreadable)}: frames in these files may be wrong.",
        (f"Make these files readable by all users (`chmod a+r FILE`), then {advice.EXTRACT_AGAIN}.",),
        Verdict.PARTIAL,
    )


def find_unwind_error(context: CrashContext) -> Finding | None:
    """gdb stopped unwinding, because the stack is damaged or unwind information is missing."""
    if not context.thread or not context.thread.unwind_error or context.overwritten or context.replaced_in_crash:
        return None
    return Finding(
        f"gdb could not unwind the stack to its end: {context.thread.unwind_error}.",
        best=Verdict.PARTIAL,
    )
