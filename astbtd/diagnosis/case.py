"""One crash under diagnosis: the backtrace, the thread that crashed, and what else is known."""

import re
from dataclasses import dataclass
from functools import cached_property

from astbtd.diagnosis.backtrace import Backtrace, Frame, Thread, parse
from astbtd.diagnosis.evidence import Evidence
from astbtd.diagnosis.roles import ALLOCATING, RELEASING, Role, in_c_library, plain_name, role
from astbtd.diagnosis.signature import crash_function
from astbtd.model import MemoryCorruption

_FIRST = 1  # gdb numbers the threads of a core from its notes, where the crashed one is first
_ABORTING = frozenset({"abort", "__assert_fail", "__libc_message", "__fortify_fail"})
_RAISING = re.compile(r"\bsig(?:no)?(?:=sig(?:no)?@entry)?=6\b")
# Functions of main/lock.c that are compiled in by DEBUG_THREADS only, and what `core show locks` prints with it.
# glibc's malloc.c: malloc_printerr's messages, which name the function that noticed. A stripped glibc names no frame.
_ABORTED_IN_FREE = re.compile(r"\bfree\b|munmap_chunk")
_ABORTED_IN_MALLOC = re.compile(r"\b(?:malloc|calloc|realloc|memalign|mremap_chunk)|tcache|corrupted")
_DEBUG_THREADS = re.compile(r"\bast_ree?ntrancy_lock\b|^=== (?:Currently Held Locks|---> .{0,80}Lock #)", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """What the findings look at. The frames are the crash thread's, innermost first."""

    backtrace: Backtrace
    evidence: Evidence
    thread: Thread | None
    debug_threads: bool

    @classmethod
    def of(cls, text: str, evidence: Evidence) -> "Case":
        """The case that `text`, whatever it is, and `evidence` make."""
        backtrace = parse(text)
        asterisk = evidence.asterisk
        debug_threads = bool(asterisk and asterisk.debug_threads) or _DEBUG_THREADS.search(text) is not None
        return cls(backtrace, evidence, crash_thread(backtrace), debug_threads)

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.thread.frames if self.thread else ()

    @cached_property
    def called(self) -> tuple[Frame, ...]:
        """The frames up to where the thread began: what gdb makes up beyond that tells nothing."""
        return frames_called(self.frames)

    @cached_property
    def own(self) -> tuple[Frame, ...]:
        """The frames of Asterisk, its modules and the libraries it uses: not the C library's."""
        return tuple(frame for frame in self.called if not in_c_library(frame))

    @property
    def crash_function(self) -> str | None:
        return crash_function(self.frames)

    @property
    def signal(self) -> str | None:
        """The signal's name: as the core has it, as gdb says it, or SIGABRT where the thread aborts itself."""
        if self.evidence.signal:
            return self.evidence.signal.name
        return self.backtrace.signal or ("SIGABRT" if any(map(_aborts, self.frames)) else None)

    @property
    def memory_corruption(self) -> MemoryCorruption | None:
        """Whether the crash is in the allocator; None where the text ends before it tells."""
        machinery, ended = _innermost_machinery(self.frames)
        message = self.evidence.abort_message or ""
        if machinery & RELEASING or _ABORTED_IN_FREE.search(message):
            return MemoryCorruption.CERTAIN
        if machinery & ALLOCATING or _ABORTED_IN_MALLOC.search(message):
            return MemoryCorruption.LIKELY
        cut_short = ended and machinery <= {Role.ABORT, Role.SIGNAL_HANDLER}
        return None if cut_short else MemoryCorruption.NONE


def crash_thread(backtrace: Backtrace) -> Thread | None:
    """The thread that crashed: gdb's current one, else one that got a signal or aborts, else the first."""
    current = backtrace.thread(backtrace.current)
    if current:
        return current
    signalled = next((thread for thread in backtrace.threads if _signalled(thread)), None)
    return signalled or backtrace.thread(_FIRST) or next(iter(backtrace.threads), None)


def is_crash_thread(thread: Thread, backtrace: Backtrace) -> bool:
    """Whether the text says, or gdb's numbering, that `thread` is the one that crashed; else it is a guess."""
    return thread.number in (backtrace.current, _FIRST) or _signalled(thread)


def frames_called(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The frames up to the outermost that starts a thread, all if there is none."""
    starts = [index for index, frame in enumerate(frames) if role(frame) is Role.THREAD_START]
    return frames[: starts[-1] + 1] if starts else frames


def _signalled(thread: Thread) -> bool:
    return any(frame.signal_handler or _aborts(frame) for frame in thread.frames)


def _aborts(frame: Frame) -> bool:
    if not frame.function:
        return False
    return plain_name(frame.function) in _ABORTING or (
        role(frame) is Role.ABORT and _RAISING.search(frame.arguments) is not None
    )


def _innermost_machinery(frames: tuple[Frame, ...]) -> tuple[set[Role], bool]:
    """The parts of the innermost frames that are no code, and whether there are no other frames."""
    parts: set[Role] = set()
    for frame in frames:
        part = role(frame)
        if part in (Role.CODE, Role.UNKNOWN):
            return parts, False
        parts.add(part)
    return parts, True
