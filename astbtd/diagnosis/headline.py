"""Writes the headline of a diagnosis: what happened, in one line. "Asterisk crashed" stands only above crashes."""

import re

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.marker_types import ToolReport
from astbtd.backtrace.parsed_backtrace import EarlierStack
from astbtd.backtrace.tool_reports import VALGRIND
from astbtd.diagnosis.cause_findings import is_invalid_lock
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.crash_function import SOURCES, CrashStack, is_third_party
from astbtd.diagnosis.frame_kind import plain_name, plain_object
from astbtd.diagnosis.qualified_name import qualify_name
from astbtd.diagnosis.recursion import describe_recursion
from astbtd.diagnosis.sender import describe_sender
from astbtd.diagnosis.signature import find_crash_function
from astbtd.lib.quantities import format_utc
from astbtd.model.diagnosis import Kind

_MAX_NAME_LENGTH = 100
_UNKNOWN_FUNCTION = "an unknown function (no symbols)"
_MAX_LOG_TEXT = 200
_ADDRESSES = re.compile(r" on (?:unknown )?address .*| \(pid=\d+\)")
_USED = "used"
_PAST = {"read": "read", "write": "written"}


def write_headline(context: CrashContext) -> str:
    """Return one line that says what happened. It is not escaped for a terminal."""
    function = _crash_function(context)
    match context.kind:
        case Kind.ASSERTION:
            return f"An assertion failed in {function}; Asterisk went on"
        case Kind.LIVE:
            return "Dump of a running Asterisk: nothing is wrong in these threads"
        case Kind.DEADLOCK:
            return f"Asterisk hangs: it waits in {function}"
        case Kind.SANITIZER | Kind.VALGRIND | Kind.LEAK:
            report = describe_report(context)
            return report[:1].upper() + report[1:]
        case Kind.SENT if known := describe_sender(context):
            return known + _deadlock_suffix(context)
        case Kind.SENT:
            signal = context.signal or "a signal"
            return f"Asterisk was ended by {signal}, which another process sent; it was in {function}"
        case Kind.LOG:
            return f"A log line, no backtrace: {describe_log_event(context)}"
        case Kind.INCOMPLETE:
            return _describe_incomplete(context)
        case Kind.NOTHING:
            return "No backtrace found in the text"
    return f"Asterisk crashed{_describe_crash(context)}"


def _deadlock_suffix(context: CrashContext) -> str:
    functions = context.deadlocked_functions
    return f"; it was deadlocked in {' and '.join(map(_shorten, functions))}" if functions else ""


def describe_log_event(context: CrashContext) -> str:
    """Return what the log says about the end of the process: the signal, and where it was."""
    event, error = context.backtrace.log_event, context.backtrace.heap_error
    signal = context.signal or "an unknown signal"
    if event and event.function:
        return f"{signal} in {_shorten(event.function)}"
    if event and event.module:
        return f"{signal} in {event.module}" + (f" at offset {event.offset:#x}" if event.offset is not None else "")
    if error:
        return f"{signal}: {error.message[:_MAX_LOG_TEXT]}" if context.signal else error.message[:_MAX_LOG_TEXT]
    return f"Asterisk ended by {signal}"


def describe_report(context: CrashContext) -> str:
    """Return what a sanitizer or valgrind reported, with the functions that it names."""
    report = context.backtrace.report
    if not report:
        return "unknown error"
    function = _shorten(context.crash_function)
    if context.recursion:
        return f"stack overflow: {describe_recursion(context.recursion)}"
    if report.leak:
        return f"leak report: memory that {function} allocated was not freed ({_plain_error(report)})"
    if report.tool == "UndefinedBehaviorSanitizer":
        return f"undefined behaviour: {_plain_error(report)}, in {function}"
    if report.signal:
        return f"{report.tool} caught {report.signal} in {function}"
    access = _describe_access(context, report)
    if context.backtrace.freed or "use-after-free" in report.error:
        return _with_history(f"use after free: {access} in {function}", context)
    accessed = f": {access} in" if context.backtrace.access else " in"  # valgrind's error says it already
    return _with_history(f"{report.tool}: {_plain_error(report)}{accessed} {function}", context)


def _describe_access(context: CrashContext, report: ToolReport) -> str:
    if report.tool == VALGRIND:
        for word, access in (("free", "freed again"), ("write", "written"), ("read", "read")):
            if report.error.startswith(f"Invalid {word}"):
                return access
        return _USED
    if report.error.startswith(("attempting double-free", "double-free")):
        return "freed again"
    return _PAST.get(context.backtrace.access or "", _USED)


def _with_history(text: str, context: CrashContext) -> str:
    """Return the text, with where the memory was freed and allocated."""
    for verb, stack in (("freed", context.backtrace.freed), ("allocated", context.backtrace.allocated)):
        if name := _innermost_code(stack):
            thread = f" ({stack.by_thread})" if stack and stack.by_thread and verb == "freed" else ""
            text += f", {verb} in {_shorten(name)}{thread}"
    return text


def _innermost_code(stack: EarlierStack | None) -> str | None:
    return find_crash_function(CrashStack(stack.frames)) if stack else None


def _describe_incomplete(context: CrashContext) -> str:
    what = context.signal or "A crash"
    if not context.backtrace.threads:
        return f"{what}, but the text ends before the first stack frame"
    return f"{what}, but thread {context.backtrace.crashed_number or 1}, which crashed, is not in the text"


def _describe_crash(context: CrashContext) -> str:
    signal = f": {context.signal}" if context.signal else ""
    if context.recursion:
        overflow = f"stack overflow: {describe_recursion(context.recursion)}"
        return f"{signal}, {overflow}" if signal else f": {overflow}"
    if context.overwritten:
        return f"{signal}: {context.overwritten.describe()}"
    if context.jump:
        return f"{signal}: it {context.jump.describe()}"
    if context.replaced_in_crash:
        first = context.replaced_in_crash[0]
        at = f" at {format_utc(first.at)}" if first.at else ""
        return f"{signal} in {_shorten(context.crash_function)}, through {first.path}, which was replaced{at}"
    caller = next(SOURCES["code"](context.stack, "generic"), None)
    inner = _innermost_frame_of(context.stack, context.crash_function)
    if caller and inner and is_third_party(inner):
        return (
            f"{signal} in {_shorten(caller)}, inside {_shorten(inner.function)} of {plain_object(inner.library or '')}"
        )
    lock = ": a lock of a freed or null object" if is_invalid_lock(context) else ""
    return f"{signal} in {_crash_function(context)}{lock}"


def _innermost_frame_of(stack: CrashStack, function: str | None) -> Frame | None:
    for frame in stack.frames:
        if frame.function and plain_name(frame.function) == function:
            return frame
    return None


def _plain_error(report: ToolReport) -> str:
    return _ADDRESSES.sub("", report.error).strip(" .")


def _crash_function(context: CrashContext) -> str:
    function = context.crash_function
    return _shorten(qualify_name(function, context.located_stack.frames) if function else None)


def _shorten(name: str | None) -> str:
    if not name:
        return _UNKNOWN_FUNCTION
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 3] + "..."
