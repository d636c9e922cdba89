"""Reads the lines around a backtrace: which thread follows, which one crashed, by what signal, what was said before."""

import re
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class StackStart:
    """The frames of a thread follow. `crashed`: the line says that this one crashed, and perhaps by what `signal`.

    `aside`: what follows tells of the past, such as where memory was freed. `asserted`: the program prints
    it itself, since an assertion failed.
    """

    number: int | None = None
    lwp: int | None = None
    signal: str | None = None
    crashed: bool = False
    aside: bool = False
    asserted: bool = False


@dataclass(frozen=True)
class ThreadSelected:
    """gdb's selected thread, of which are the frames without a heading. `crashed`: gdb chose it by itself."""

    number: int | None = None
    lwp: int | None = None
    crashed: bool = False


@dataclass(frozen=True)
class SignalMarker:
    """The signal that ended or stopped the process, and the thread that got it where the line names it."""

    signal: str | None
    number: int | None = None


@dataclass(frozen=True)
class UnwindingStopped:
    """Why gdb could not go on."""

    reason: str


@dataclass(frozen=True)
class AssertionMarker:
    """Asterisk's FRACK message: the function whose assertion failed, None where the log does not name it."""

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
    """What an allocator, or Asterisk's own bookkeeping, said of the heap.

    `no_memory`: it had none left. `checked`: a sanitizer says it, of the very place where it went wrong.
    """

    message: str
    no_memory: bool = False
    checked: bool = False


Heading = StackStart | ThreadSelected | SignalMarker | UnwindingStopped | AssertionMarker | LockListingLine | HeapError


def heading(line: str) -> Heading | None:
    """What `line` says, None if it says nothing of these."""
    for beginning, pattern, meaning in _BY_FIRST_CHARACTER.get(line[:1], ()):
        if line.startswith(beginning) and (found := pattern.match(line)):
            return meaning(found)
    return next((meaning(found) for pattern, meaning in _ANYWHERE if (found := pattern.search(line))), None)


def _signal_name(word: str | None) -> str | None:
    """The name of a signal given as `SIGSEGV`, `SEGV` or its number."""
    if word is None or not word.isdecimal():
        return f"SIG{word.removeprefix('SIG')}" if word else None
    with suppress(ValueError):
        return signal.Signals(int(word)).name
    return None


def _thread(found: re.Match[str]) -> Heading:
    lwp = re.search(r"\b(?:LWP|process) (\d{1,10})", found[2])
    return StackStart(int(found[1]), int(lwp[1]) if lwp else None)


def _locking_thread(found: re.Match[str]) -> Heading:
    return StackStart(lwp=int(found[1]) if found[1] else None)


def _lock(found: re.Match[str]) -> Heading:
    return LockListingLine(
        found["address"], bool(found["waiting"]), found["function"], found["file"], int(found["line"])
    )


def _asserted(found: re.Match[str]) -> Heading:
    return AssertionMarker(found["in_log"] or found["on_console"])


_Meaning = Callable[[re.Match[str]], Heading]
_NUMBER = r"(?:\d{1,9}\.)?(\d{1,9})\b"  # gdb counts by inferior, too: 1.17
_SIGNAL = r"(SIG[A-Z0-9]{2,10}|\d{1,2})\b"

_AT_THE_BEGINNING: tuple[tuple[str, str, _Meaning], ...] = (
    # gdb
    ("Thread ", rf"{_NUMBER} \((.{{0,300}})", _thread),
    (
        "Thread ",
        rf'{_NUMBER} "[^"]{{0,64}}" (?:received|terminated with) signal {_SIGNAL}',
        lambda found: SignalMarker(_signal_name(found[2]), int(found[1])),
    ),
    (
        "Program ",
        rf"(?:terminated with|received) signal {_SIGNAL}",
        lambda found: SignalMarker(_signal_name(found[1])),
    ),
    ("[Current thread is ", _NUMBER, lambda found: ThreadSelected(int(found[1]), crashed=True)),
    ("[Switching to thread ", _NUMBER, lambda found: ThreadSelected(int(found[1]))),
    (
        "[Switching to ",
        r"(?:Thread .{1,40}\()?(?:LWP|process) (\d{1,10})",
        lambda found: ThreadSelected(lwp=int(found[1]), crashed=True),
    ),
    ("* ", rf" {{0,6}}{_NUMBER} +(?:Thread|LWP|process) ", lambda found: ThreadSelected(int(found[1]), crashed=True)),
    ("Backtrace stopped: ", r"(.{1,200})", lambda found: UnwindingStopped(found[1].strip())),
    ("$", r"\d+ = \{si_signo = (\d{1,2}),", lambda found: SignalMarker(_signal_name(found[1]))),
    # coredumpctl, elfutils, lldb
    ("Signal: ", r"\d{1,2} \(([A-Z]{2,6})\)", lambda found: SignalMarker(_signal_name(found[1]))),
    ("Stack trace of thread ", r"(\d{1,10}):", lambda found: StackStart(lwp=int(found[1]))),
    ("TID ", r"(\d{1,10}):", lambda found: StackStart(lwp=int(found[1]))),
    ("thread #", _NUMBER, lambda found: StackStart(int(found[1]))),
    (
        "* thread #",
        rf"{_NUMBER}(?:.{{0,200}}\bsignal (SIG[A-Z]{{2,6}}))?",
        lambda found: StackStart(int(found[1]), signal=found[2], crashed=True),
    ),
    # valgrind and sanitizers
    ("==", r"\d+== Thread (\d{1,9})(?: \S+)?:$", lambda found: StackStart(int(found[1]))),
    (
        "==",
        r"\d+== Process terminating .{1,60} signal \d{1,2} \((SIG[A-Z]{2,6})\)",
        lambda found: StackStart(signal=found[1], crashed=True),
    ),
    ("==", r"\d+== {1,2}(?:Address 0x|Block was alloc|Uninitialised value was)", lambda _: StackStart(aside=True)),
    ("==", r"\d+== ?$|\d+== \w+ (?:read|write|free)", lambda _: StackStart()),
    ("==", r"\d+==ERROR: \w+Sanitizer: (.{1,200})", lambda found: HeapError(found[1], checked=True)),
    ("freed by thread ", "", lambda _: StackStart(aside=True)),
    ("previously allocated by thread ", "", lambda _: StackStart(aside=True)),
    # glibc before 2.26, when it aborted
    ("=", r"=+ Backtrace: =+", lambda _: StackStart(asserted=True)),
    # Asterisk
    ("=== Thread ID: ", r"\S{1,40}(?: LWP:(\d{1,10}))?", _locking_thread),
    (
        "=== ---> ",
        r"(?P<waiting>Waiting for )?(?:Tried and failed to get )?Lock #\d{1,4} \((?P<file>[^)]{0,200})\): "
        r"\w{1,12} (?P<line>\d{1,7}) (?P<function>\S{1,200}) .{1,200}? (?P<address>0x[0-9a-f]{1,16})\b",
        _lock,
    ),
)

_ANYWHERE: tuple[tuple[re.Pattern[str], _Meaning], ...] = (
    (
        re.compile(
            r"(?:\.\w{1,3}:\d{1,7} (?P<in_log>\w{1,200}): )?FRACK!, Failed assertion "
            r"(?:.{0,300}? at line \d{1,7} in (?P<on_console>\w{1,200}) of )?"
        ),
        _asserted,
    ),
    (re.compile(r"\bGot \d{1,6} backtrace records"), lambda _: StackStart(asserted=True)),
    (
        re.compile(
            r"\b(?:double free or corruption|free\(\): |munmap_chunk\(\): |realloc\(\): |malloc\(\): |"
            r"malloc_consolidate\(\): |tcache_thread_shutdown\(\): |corrupted (?:size vs|double-linked|unsorted)|"
            r"malloc\.c:\d+\D{0,40}\bassert|stack smashing detected|<jemalloc>: |Freeing unregistered memory|"
            r"(?:[Ll]ow|[Hh]igh) fence violation|Memory corrupted after free).{0,120}"
        ),
        lambda found: HeapError(found[0].strip(' *"')),
    ),
    (
        re.compile(r"\bMemory Allocation Failure\b.{0,160}|\b[Cc]annot allocate memory\b"),
        lambda found: HeapError(found[0], no_memory=True),
    ),
    (re.compile(r"\] ?: ?segfault at [0-9a-f]|: segfault at [0-9a-f]+ ip "), lambda _: SignalMarker("SIGSEGV")),
)

_BY_FIRST_CHARACTER: dict[str, list[tuple[str, re.Pattern[str], _Meaning]]] = defaultdict(list)
for _beginning, _rest, _meaning in _AT_THE_BEGINNING:
    _BY_FIRST_CHARACTER[_beginning[0]].append((_beginning, re.compile(re.escape(_beginning) + _rest), _meaning))
