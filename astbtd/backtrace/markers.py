"""Parses the lines around a backtrace: which thread follows, which one crashed, the signal, and earlier messages."""

import re
from collections import defaultdict
from collections.abc import Callable

from astbtd.backtrace.log_events import contains_any, parse_log_event, signal_name
from astbtd.backtrace.marker_types import (
    AssertionMarker,
    HeapError,
    LiveMarker,
    LockListingLine,
    Marker,
    SignalMarker,
    StackStart,
    ThreadSelected,
    UnwindStopped,
)
from astbtd.backtrace.tool_reports import parse_tool_report


def parse_marker(line: str) -> Marker | None:
    """Return the marker that `line` is, or None."""
    for beginning, pattern, to_marker in _BY_FIRST_CHARACTER.get(line[:1], ()):
        if line.startswith(beginning) and (match := pattern.match(line)):
            return to_marker(match)
    if report := parse_tool_report(line):
        return report
    for keywords, pattern, to_marker in _ANYWHERE:
        if contains_any(line, keywords) and (match := pattern.search(line)):
            return to_marker(match)
    return parse_log_event(line)


def _to_thread(match: re.Match[str]) -> Marker:
    lwp = re.search(r"\b(?:LWP|process) (\d{1,10})", match[2])
    return StackStart(int(match[1]), int(lwp[1]) if lwp else None)


def _to_locking_thread(match: re.Match[str]) -> Marker:
    return StackStart(lwp=int(match[1]) if match[1] else None)


def _to_lock(match: re.Match[str]) -> Marker:
    return LockListingLine(
        address=match["address"],
        waiting=bool(match["waiting"]),
        function=match["function"],
        file=match["file"],
        line=int(match["line"]),
    )


def _to_assertion(match: re.Match[str]) -> Marker:
    return AssertionMarker(match["in_log"] or match["on_console"], _log_thread(match.string))


def _to_backtrace_records(match: re.Match[str]) -> Marker:
    return StackStart(printed_by_assertion=True, log_thread=_log_thread(match.string))


def _log_thread(line: str) -> int | None:
    """Return the thread in the prefix of a message of Asterisk's log."""
    prefix = _LOG_LEVEL.search(line)
    return int(prefix[1]) if prefix else None


def _to_ended(match: re.Match[str]) -> Marker:
    name = signal_name(match[2])
    if match[1] == "received" and name in _STOP_SIGNALS:
        return LiveMarker()
    return SignalMarker(name, ended=match[1] != "received")


def _to_stopped_thread(match: re.Match[str]) -> Marker:
    name = signal_name(match[3])
    if match[2] == "received" and name in _STOP_SIGNALS:
        return LiveMarker()
    return SignalMarker(name, int(match[1]), ended=match[2] != "received")


def _to_siginfo(match: re.Match[str]) -> Marker:
    # si_code: positive from the kernel; 0 is SI_USER, -1 is SI_QUEUE; raise() and abort() give -6, SI_TKILL
    sent = int(match[2]) in (0, -1) if match[2] else None
    return SignalMarker(signal_name(match[1]), sent=sent)


def _to_heap_error(match: re.Match[str]) -> Marker:
    message = match[0].strip(' *"')
    names = _MALLOC_DEBUG_CALLER.search(message)
    is_malloc_debug = _MALLOC_DEBUG.search(message) is not None
    return HeapError(message, malloc_debug=is_malloc_debug, function=names[1] if names else None)


_ToMarker = Callable[[re.Match[str]], Marker]
_NUMBER = r"(?:\d{1,9}\.)?(\d{1,9})\b"  # gdb may put the number of the inferior before it: 1.17
_SIGNAL = r"(SIG[A-Z0-9]{2,10}|\d{1,2})\b"
_LOG_LEVEL = re.compile(r"\b(?:ERROR|WARNING|NOTICE|VERBOSE|DEBUG)\[(\d{1,10})\]")
# A debugger stopped the process, or somebody did in order to look at it.
_STOP_SIGNALS = ("SIGINT", "SIGSTOP", "SIGTSTP", "SIGTRAP", "SIGCONT")
# Asterisk's main/astmm.c
_MALLOC_DEBUG = re.compile(
    r"Freeing unregistered memory|fence violation|Memory corrupted after free|Memory Allocation Failure"
)
_MALLOC_DEBUG_CALLER = re.compile(r"\b(?:by|in|at) \S+ (\w+)\(\) line \d")

_AT_LINE_START: tuple[tuple[str, str, _ToMarker], ...] = (
    # gdb
    ("Thread ", rf"{_NUMBER} \((.{{0,300}})", _to_thread),
    (
        "Thread ",
        rf'{_NUMBER}(?: "[^"]{{0,64}}")? (received|terminated with) signal {_SIGNAL}',  # no name if the target has none
        _to_stopped_thread,
    ),
    (
        "Program ",
        rf"(terminated with|received) signal {_SIGNAL}",
        _to_ended,
    ),
    ("[Current thread is ", _NUMBER, lambda match: ThreadSelected(int(match[1]), crashed=True)),
    ("[Switching to thread ", _NUMBER, lambda match: ThreadSelected(int(match[1]))),
    (
        "[Switching to ",
        r"(?:Thread .{1,40}\()?(?:LWP|process) (\d{1,10})",
        lambda match: ThreadSelected(lwp=int(match[1]), crashed=True),
    ),
    ("* ", rf" {{0,6}}{_NUMBER} +(?:Thread|LWP|process) ", lambda match: ThreadSelected(int(match[1]), crashed=True)),
    ("Backtrace stopped: ", r"(.{1,200})", lambda match: UnwindStopped(match[1].strip())),
    ("$", r"\d+ = \{si_signo = (\d{1,2}),(?: si_errno = \d+, si_code = (-?\d{1,9}))?", _to_siginfo),
    # coredumpctl, elfutils, lldb
    ("Signal: ", r"\d{1,2} \(([A-Z]{2,6})\)", lambda match: SignalMarker(signal_name(match[1]))),
    ("Stack trace of thread ", r"(\d{1,10}):", lambda match: StackStart(lwp=int(match[1]))),
    ("TID ", r"(\d{1,10}):", lambda match: StackStart(lwp=int(match[1]))),
    ("thread #", _NUMBER, lambda match: StackStart(int(match[1]))),
    (
        "* thread #",
        rf"{_NUMBER}(?:.{{0,200}}\bsignal (SIG[A-Z]{{2,6}}))?",
        lambda match: StackStart(int(match[1]), signal=match[2], crashed=True),
    ),
    # a debugger that attached to a process, and gdb's report of a breakpoint
    ("Attaching to ", r"(?:process|program)\b", lambda _: LiveMarker()),
    ("Detaching from ", r"(?:process|program)\b", lambda _: LiveMarker()),
    ("[Inferior ", r"\d+ \(process \d+\) detached", lambda _: LiveMarker()),
    ("PID ", r"\d+ - process", lambda _: LiveMarker()),
    # macOS
    ("Thread ", r"(\d{1,6}) Crashed:", lambda match: StackStart(int(match[1]), crashed=True)),
    ("Thread ", r"(\d{1,6}):(?:: .{0,100}| +.{0,100}|$)", lambda match: StackStart(int(match[1]))),
    # glibc before 2.26, when it aborts
    ("=", r"=+ Backtrace: =+", lambda _: StackStart(crashed=True, signal="SIGABRT", printed_by_assertion=True)),
    # Asterisk
    ("=== Thread ID: ", r"\S{1,40}(?: LWP:(\d{1,10}))?", _to_locking_thread),
    (
        "=== ---> ",
        r"(?P<waiting>Waiting for )?(?:Tried and failed to get )?Lock #\d{1,4} \((?P<file>[^)]{0,200})\): "
        r"\w{1,12} (?P<line>\d{1,7}) (?P<function>\S{1,200}) .{1,200}? (?P<address>0x[0-9a-f]{1,16})\b",
        _to_lock,
    ),
)

_HEAP_WORDS = (
    "double free or corruption",
    "free(): ",
    "munmap_chunk(): ",
    "alloc(): ",
    "malloc_consolidate(): ",
    "tcache_thread_shutdown(): ",
    "corrupted ",
    "malloc.c:",
    "stack smashing detected",
    "<jemalloc>: ",
    "Freeing unregistered memory",
    "fence violation",
    "Memory corrupted after free",
)
_ANYWHERE: tuple[tuple[tuple[str, ...], re.Pattern[str], _ToMarker], ...] = (
    (
        ("FRACK!",),
        re.compile(
            r"(?:\.\w{1,3}:\d{1,7} (?P<in_log>\w{1,200}): )?FRACK!, Failed assertion "
            r"(?:.{0,300}? at line \d{1,7} in (?P<on_console>\w{1,200}) of )?"
        ),
        _to_assertion,
    ),
    ((" backtrace records",), re.compile(r"\bGot \d{1,6} backtrace records"), _to_backtrace_records),
    (
        _HEAP_WORDS,
        re.compile(
            r"\b(?:double free or corruption|free\(\): |munmap_chunk\(\): |realloc\(\): |malloc\(\): |calloc\(\): |"
            r"malloc_consolidate\(\): |tcache_thread_shutdown\(\): |corrupted (?:size vs|double-linked|unsorted)|"
            r"malloc\.c:\d+\D{0,40}\b[Aa]ssert|stack smashing detected|<jemalloc>: |Freeing unregistered memory|"
            r"(?:[Ll]ow|[Hh]igh) fence violation|Memory corrupted after free).{0,120}"
        ),
        _to_heap_error,
    ),
    (
        ("Memory Allocation Failure", "annot allocate memory"),
        re.compile(r"\bMemory Allocation Failure\b.{0,160}|\b[Cc]annot allocate memory\b"),
        lambda match: HeapError(match[0], out_of_memory=True),
    ),
)

_BY_FIRST_CHARACTER: dict[str, list[tuple[str, re.Pattern[str], _ToMarker]]] = defaultdict(list)
for _beginning, _rest, _to_marker in _AT_LINE_START:
    _BY_FIRST_CHARACTER[_beginning[0]].append((_beginning, re.compile(re.escape(_beginning) + _rest), _to_marker))
