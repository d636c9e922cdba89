"""Parses the lines of reports by valgrind and the sanitizers: what was wrong, and which stacks are of earlier events.

Sources: valgrind's memcheck/mc_errors.c and mc_leakcheck.c, LLVM's lib/asan/asan_errors.cpp, lib/lsan/lsan_common.cpp,
lib/tsan/rtl/tsan_report.cpp, lib/ubsan/ubsan_diag.cpp.
"""

import re
from collections.abc import Callable

from astbtd.backtrace.marker_types import AccessMarker, EarlierEvent, Marker, StackStart, ToolReport

VALGRIND = "valgrind"
_MAX_ERROR = 200  # characters

# What AddressSanitizer calls a signal that it caught. It reports an overflow of the stack by itself.
_CAUGHT_SIGNALS = {
    "SEGV": "SIGSEGV",
    "BUS": "SIGBUS",
    "FPE": "SIGFPE",
    "ILL": "SIGILL",
    "ABRT": "SIGABRT",
    "TRAP": "SIGTRAP",
    "stack-overflow": "SIGSEGV",
}
_VALGRIND_ERROR = re.compile(
    r"(?:Invalid (?:read|write|free)|Mismatched (?:new/delete|free)|Conditional jump or move depends|"
    r"Use of uninitialised|Syscall param|Source and destination overlap|Jump to the invalid|Argument '|"
    r"Possible data race|Thread #\d+: lock order|realloc\(\) with size 0).{0,150}"
)
_VALGRIND_LEAK = re.compile(r"[\d,]+(?: \([^)]{0,80}\))? bytes in [\d,]+ blocks are .{1,40} in loss record.{0,40}")
_VALGRIND_LEAK_SUMMARY = re.compile(r"(?:definitely|indirectly|possibly) lost: [1-9][\d,]* bytes in [\d,]+ blocks")
_VALGRIND_LINE = re.compile(r"([=*-])\1\d+\1\1 {0,2}(?P<text>.*)")
_VALGRIND_END = re.compile(r"Process terminating .{1,60} signal \d{1,2} \((?P<signal>SIG[A-Z]{2,6})\)")
_VALGRIND_THREAD = re.compile(r"Thread (?P<number>\d{1,9})(?: \S+)?:$")
_VALGRIND_BLOCK = re.compile(r"Address 0x\S+ is .{1,100}?(?P<what>free'd|alloc'd)")
_SANITIZER = re.compile(r"\b(?:ERROR|WARNING): (?P<tool>\w+Sanitizer): (?P<error>.{1,200})")
_UNDEFINED = re.compile(r"\S+:\d{1,7}:\d{1,5}: runtime error: (?P<error>.{1,200})")
_LEAK = re.compile(r"(?:Direct|Indirect) leak of (?P<error>.{1,100}) allocated from:")
_FREED = re.compile(r"freed by thread (?P<thread>T\d{1,6})?")
_ALLOCATED = re.compile(r"(?:previously )?allocated by thread (?P<thread>T\d{1,6})?")
_OTHER_EVENT = re.compile(
    r"Thread T\d.{0,80} created by|Previous (?:atomic )?(?:read|write) |Location is |"
    r"Address 0x\S+ is (?:located|a wild)|"
    r"Mutex M\d+ (?:\S+ )?(?:previously acquired|created)|Uninitialized value was (?:stored|created)|"
    r"HINT: |0x[0-9a-f]+ is located .{1,80} of (?:global|stack)"
)
_NEXT_STACK = re.compile(r"(?:Write|Read|Atomic write|Atomic read) of size |Mutex M\d+ acquired here ")


def parse_tool_report(line: str) -> Marker | None:
    """Return what `line` says if it is part of a report, or None. `line` has no blanks at its start."""
    first = line[:1]
    if first in "=*-" and (prefixed := _VALGRIND_LINE.match(line)):
        return _parse_valgrind(prefixed["text"].strip()) or _parse_sanitizer(prefixed["text"].strip())
    if first in "EWDIRfpaTPLAMUH0S" or "runtime error: " in line or "Sanitizer: " in line:
        return _parse_sanitizer(line)
    return None


def _parse_valgrind(text: str) -> Marker | None:
    if not text:
        return StackStart()
    if thread := _VALGRIND_THREAD.match(text):
        return StackStart(int(thread["number"]))
    if end := _VALGRIND_END.match(text):
        report = ToolReport(VALGRIND, end[0], signal=end["signal"])
        return StackStart(signal=end["signal"], crashed=True, report=report)
    if block := _VALGRIND_BLOCK.match(text):
        return StackStart(earlier=EarlierEvent.FREED if block["what"] == "free'd" else EarlierEvent.ALLOCATED)
    if text.startswith("Block was alloc'd"):
        return StackStart(earlier=EarlierEvent.ALLOCATED)
    if text.startswith(("Address 0x", "Uninitialised value was")):
        return StackStart(earlier=EarlierEvent.OTHER)
    if error := _VALGRIND_ERROR.match(text):
        return StackStart(report=ToolReport(VALGRIND, error[0]))
    if leak := _VALGRIND_LEAK.match(text) or _VALGRIND_LEAK_SUMMARY.match(text):
        return StackStart(report=ToolReport(VALGRIND, leak[0], leak=True))
    return None


def _parse_sanitizer(line: str) -> Marker | None:
    if report := _SANITIZER.search(line):
        return StackStart(report=_to_report(report["tool"], report["error"]))
    if report := _UNDEFINED.match(line):
        return StackStart(report=ToolReport("UndefinedBehaviorSanitizer", report["error"]))
    for pattern, to_marker in _SANITIZER_LINES:
        if match := pattern.match(line):
            return to_marker(match)
    return None


def _to_report(tool: str, error: str) -> ToolReport:
    word = re.split(r"[ :(]", error, maxsplit=1)[0]
    return ToolReport(tool, error[:_MAX_ERROR], tool == "LeakSanitizer", _CAUGHT_SIGNALS.get(word))


_SANITIZER_LINES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Marker]], ...] = (
    (re.compile(r"(READ|WRITE) of size \d"), lambda match: AccessMarker(match[1].lower())),
    (re.compile(r"The signal is caused by a (READ|WRITE) "), lambda match: AccessMarker(match[1].lower())),
    (_FREED, lambda match: StackStart(earlier=EarlierEvent.FREED, by_thread=match["thread"])),
    (_ALLOCATED, lambda match: StackStart(earlier=EarlierEvent.ALLOCATED, by_thread=match["thread"])),
    (_LEAK, lambda match: StackStart(report=ToolReport("LeakSanitizer", match["error"], leak=True))),
    (_OTHER_EVENT, lambda _: StackStart(earlier=EarlierEvent.OTHER)),
    (_NEXT_STACK, lambda _: StackStart()),
)
