"""Parses the lines around a backtrace: which thread follows, which one crashed, the signal, and earlier messages."""

import re
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class StackStart:
    """The frames of a thread follow. `crashed`: the line says that this thread crashed, `signal` is by which signal.

    `earlier_event`: the frames belong to the past, for example to the call that freed the memory.
    `printed_by_assertion`: the program printed the frames itself, because an assertion failed.
    """

    number: int | None = None
    lwp: int | None = None
    signal: str | None = None
    crashed: bool = False
    earlier_event: bool = False
    printed_by_assertion: bool = False


@dataclass(frozen=True)
class ThreadSelected:
    """The thread selected in gdb: frames without a heading are its frames. `crashed`: gdb selected it by itself."""

    number: int | None = None
    lwp: int | None = None
    crashed: bool = False


@dataclass(frozen=True)
class SignalMarker:
    """The signal that ended or stopped the process, and gdb's number of the thread that got it, if the line has it."""

    signal: str | None
    number: int | None = None


@dataclass(frozen=True)
class UnwindStopped:
    """gdb could not unwind the stack to its end, for this reason."""

    reason: str


@dataclass(frozen=True)
class AssertionMarker:
    """Asterisk's FRACK message: the function whose assertion failed, None if the log does not name it."""

    function: str | None


@dataclass(frozen=True)
class LockListingLine:
    """One line of `core show locks`: a lock that the thread holds, or waits for."""

    address: str
    waiting: bool
    function: str
    file: str
    line: int


@dataclass(frozen=True)
class HeapError:
    """A message about the heap, from an allocator or from Asterisk's MALLOC_DEBUG.

    `out_of_memory`: an allocation failed. `from_sanitizer`: a sanitizer reports the very access that was wrong.
    """

    message: str
    out_of_memory: bool = False
    from_sanitizer: bool = False


Marker = StackStart | ThreadSelected | SignalMarker | UnwindStopped | AssertionMarker | LockListingLine | HeapError


def parse_marker(line: str) -> Marker | None:
    """Return the marker that `line` is, or None."""
    for beginning, pattern, to_marker in _BY_FIRST_CHARACTER.get(line[:1], ()):
        if line.startswith(beginning) and (match := pattern.match(line)):
            return to_marker(match)
    for pattern, to_marker in _ANYWHERE:
        if match := pattern.search(line):
            return to_marker(match)
    return None


def _signal_name(word: str | None) -> str | None:
    """Return the name of a signal that is given as `SIGSEGV`, `SEGV` or a number; None for an unknown number."""
    if not word:
        return None
    if not word.isdecimal():
        return f"SIG{word.removeprefix('SIG')}"
    with suppress(ValueError):
        return signal.Signals(int(word)).name
    return None


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
    return AssertionMarker(match["in_log"] or match["on_console"])


_ToMarker = Callable[[re.Match[str]], Marker]
_NUMBER = r"(?:\d{1,9}\.)?(\d{1,9})\b"  # gdb may put the number of the inferior before it: 1.17
_SIGNAL = r"(SIG[A-Z0-9]{2,10}|\d{1,2})\b"

_AT_LINE_START: tuple[tuple[str, str, _ToMarker], ...] = (
    # gdb
    ("Thread ", rf"{_NUMBER} \((.{{0,300}})", _to_thread),
    (
        "Thread ",
        rf'{_NUMBER} "[^"]{{0,64}}" (?:received|terminated with) signal {_SIGNAL}',
        lambda match: SignalMarker(_signal_name(match[2]), int(match[1])),
    ),
    (
        "Program ",
        rf"(?:terminated with|received) signal {_SIGNAL}",
        lambda match: SignalMarker(_signal_name(match[1])),
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
    ("$", r"\d+ = \{si_signo = (\d{1,2}),", lambda match: SignalMarker(_signal_name(match[1]))),
    # coredumpctl, elfutils, lldb
    ("Signal: ", r"\d{1,2} \(([A-Z]{2,6})\)", lambda match: SignalMarker(_signal_name(match[1]))),
    ("Stack trace of thread ", r"(\d{1,10}):", lambda match: StackStart(lwp=int(match[1]))),
    ("TID ", r"(\d{1,10}):", lambda match: StackStart(lwp=int(match[1]))),
    ("thread #", _NUMBER, lambda match: StackStart(int(match[1]))),
    (
        "* thread #",
        rf"{_NUMBER}(?:.{{0,200}}\bsignal (SIG[A-Z]{{2,6}}))?",
        lambda match: StackStart(int(match[1]), signal=match[2], crashed=True),
    ),
    # valgrind and sanitizers
    ("==", r"\d+== Thread (\d{1,9})(?: \S+)?:$", lambda match: StackStart(int(match[1]))),
    (
        "==",
        r"\d+== Process terminating .{1,60} signal \d{1,2} \((SIG[A-Z]{2,6})\)",
        lambda match: StackStart(signal=match[1], crashed=True),
    ),
    (
        "==",
        r"\d+== {1,2}(?:Address 0x|Block was alloc|Uninitialised value was)",
        lambda _: StackStart(earlier_event=True),
    ),
    ("==", r"\d+== ?$|\d+== \w+ (?:read|write|free)", lambda _: StackStart()),
    ("==", r"\d+==ERROR: \w+Sanitizer: (.{1,200})", lambda match: HeapError(match[1], from_sanitizer=True)),
    ("freed by thread ", "", lambda _: StackStart(earlier_event=True)),
    ("previously allocated by thread ", "", lambda _: StackStart(earlier_event=True)),
    # glibc before 2.26, when it aborts
    ("=", r"=+ Backtrace: =+", lambda _: StackStart(printed_by_assertion=True)),
    # Asterisk
    ("=== Thread ID: ", r"\S{1,40}(?: LWP:(\d{1,10}))?", _to_locking_thread),
    (
        "=== ---> ",
        r"(?P<waiting>Waiting for )?(?:Tried and failed to get )?Lock #\d{1,4} \((?P<file>[^)]{0,200})\): "
        r"\w{1,12} (?P<line>\d{1,7}) (?P<function>\S{1,200}) .{1,200}? (?P<address>0x[0-9a-f]{1,16})\b",
        _to_lock,
    ),
)

_ANYWHERE: tuple[tuple[re.Pattern[str], _ToMarker], ...] = (
    (
        re.compile(
            r"(?:\.\w{1,3}:\d{1,7} (?P<in_log>\w{1,200}): )?FRACK!, Failed assertion "
            r"(?:.{0,300}? at line \d{1,7} in (?P<on_console>\w{1,200}) of )?"
        ),
        _to_assertion,
    ),
    (re.compile(r"\bGot \d{1,6} backtrace records"), lambda _: StackStart(printed_by_assertion=True)),
    (
        re.compile(
            r"\b(?:double free or corruption|free\(\): |munmap_chunk\(\): |realloc\(\): |malloc\(\): |"
            r"malloc_consolidate\(\): |tcache_thread_shutdown\(\): |corrupted (?:size vs|double-linked|unsorted)|"
            r"malloc\.c:\d+\D{0,40}\bassert|stack smashing detected|<jemalloc>: |Freeing unregistered memory|"
            r"(?:[Ll]ow|[Hh]igh) fence violation|Memory corrupted after free).{0,120}"
        ),
        lambda match: HeapError(match[0].strip(' *"')),
    ),
    (
        re.compile(r"\bMemory Allocation Failure\b.{0,160}|\b[Cc]annot allocate memory\b"),
        lambda match: HeapError(match[0], out_of_memory=True),
    ),
    (re.compile(r"\] ?: ?segfault at [0-9a-f]|: segfault at [0-9a-f]+ ip "), lambda _: SignalMarker("SIGSEGV")),
)

_BY_FIRST_CHARACTER: dict[str, list[tuple[str, re.Pattern[str], _ToMarker]]] = defaultdict(list)
for _beginning, _rest, _to_marker in _AT_LINE_START:
    _BY_FIRST_CHARACTER[_beginning[0]].append((_beginning, re.compile(re.escape(_beginning) + _rest), _to_marker))
