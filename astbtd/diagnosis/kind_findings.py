"""Findings that follow from what the text is about: why there is no crash in it, and what to do instead."""

from astbtd.backtrace.marker_types import ToolReport
from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding
from astbtd.diagnosis.headline import describe_log_event, describe_report
from astbtd.diagnosis.sender import find_sender
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Kind

_PASTE_ALL = "Provide the complete output of gdb: `bt full` of the thread that crashed, and `thread apply all bt`."


def find_no_backtrace(context: CrashContext) -> Finding | None:
    """The text has no frames."""
    if context.backtrace.threads or context.has_core:
        return None
    match context.kind:
        case Kind.LOG:
            return _log_finding(context)
        case Kind.INCOMPLETE:
            return Finding("The text ends before the first stack frame.", (_PASTE_ALL,), Verdict.UNUSABLE)
        case Kind.NOTHING:
            remedy = ("Provide the output of gdb's `bt`, or what another program prints about the crash.",)
            return Finding("The text contains no stack frame, and no line that logs a crash.", remedy, Verdict.UNUSABLE)
        case Kind.ASSERTION:
            return Finding("The text contains no stack frame.", advice.BETTER_BACKTRACES, Verdict.UNUSABLE)
    return Finding("The text contains no stack frame.", (_PASTE_ALL,), Verdict.UNUSABLE)


def find_missing_crash_thread(context: CrashContext) -> Finding | None:
    """The text has frames, but not those of the thread that crashed."""
    if context.kind is not Kind.INCOMPLETE or not context.backtrace.threads:
        return None
    number = context.backtrace.crashed_number or 1
    return Finding(f"Thread {number}, which crashed, is not in the text.", (_PASTE_ALL,), Verdict.UNUSABLE)


def find_running_process(context: CrashContext) -> Finding | None:
    """The text shows a process in which nothing failed."""
    if context.kind is not Kind.LIVE:
        return None
    return Finding(
        "Nothing crashed, and no thread in the text waits for a lock: this is a dump of a running Asterisk.",
        advice.CAPTURE_HANG,
        Verdict.UNUSABLE,
    )


def find_sent_signal(context: CrashContext) -> Finding | None:
    """Another process ended Asterisk."""
    if context.kind is not Kind.SENT:
        return None
    if known := find_sender(context):
        return known
    return Finding(
        f"Another process sent {context.signal or 'the signal'}: the frames show what Asterisk was doing, not a fault.",
        ("Find out who sent it: `journalctl -u asterisk` shows the service manager and its watchdog.",),
    )


def find_failed_assertion(context: CrashContext) -> Finding | None:
    """An assertion failed, after which Asterisk continued."""
    if context.kind is not Kind.ASSERTION:
        return None
    return Finding("Asterisk logged a failed assertion and went on: there is no core.", advice.DO_CRASH)


def find_tool_report(context: CrashContext) -> Finding | None:
    """A sanitizer or valgrind reported the error itself."""
    report = context.backtrace.report
    if not report:
        return None
    what = describe_report(context).removeprefix(f"{report.tool}: ")
    return Finding(f"{report.tool} reported: {what}.", _advise_report(report))


def _advise_report(report: ToolReport) -> tuple[str, ...]:
    if report.leak:
        return ("A leak is no crash. Attach the complete report to the issue.",)
    return (f"Attach the complete report of {report.tool} to the issue: it needs no other tool.",)


def _log_finding(context: CrashContext) -> Finding:
    event = context.backtrace.log_event
    remedy: tuple[str, ...] = advice.GET_A_CORE
    if event and event.module and event.offset is not None:
        remedy += advice.find_address(event.module, event.offset)
    reason = f"There is no backtrace, only a line of a log: {describe_log_event(context)}."
    return Finding(reason, remedy, Verdict.UNUSABLE)
