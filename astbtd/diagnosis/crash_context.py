"""One crash under diagnosis: the backtrace, the thread that crashed, and what else is known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from astbtd.backtrace.markers import HeapError, heading
from astbtd.backtrace.parser import Backtrace, Frame, Thread, parse
from astbtd.diagnosis.crash_function import Stack
from astbtd.diagnosis.deadlock.wait_graph import WaitAnalysis, conclude, sight
from astbtd.diagnosis.evidence import Evidence
from astbtd.diagnosis.frame_kind import Role, in_c_library, plain_name, role
from astbtd.diagnosis.hangs import hanging, sleeps
from astbtd.diagnosis.memory_corruption import memory_corruption, memory_ran_out
from astbtd.diagnosis.signature import crash_function, signature
from astbtd.diagnosis.word_lists import words
from astbtd.model.crash import DecidedSignature, MemoryCorruption

_FIRST = 1  # gdb numbers the threads of a core from its notes, where the crashed one is first
_ABORTING = frozenset({"abort", "__assert_fail", "__assert", "__libc_message", "__fortify_fail", "ast_do_crash"})
_RAISING = re.compile(r"\bsig(?:no)?(?:=sig(?:no)?@entry)?=6\b")


@dataclass(frozen=True)
class CrashContext:
    """What the findings look at."""

    backtrace: Backtrace
    evidence: Evidence

    @classmethod
    def of(cls, text: str | Iterable[str], evidence: Evidence) -> "CrashContext":
        """The case that `text`, whatever it is, and `evidence` make."""
        return cls(parse(text), evidence)

    @cached_property
    def thread(self) -> Thread | None:
        """The thread that crashed; where nothing did, the first that hangs."""
        return crash_thread(self.backtrace, self.evidence.lwp) if self.crashed else self.hanging[0]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of that thread, innermost first."""
        return self.thread.frames if self.thread else ()

    @cached_property
    def stack(self) -> Stack:
        """What of these frames was the crash."""
        asserted = self.thread.asserted if self.thread else self.backtrace.asserted
        return Stack.of(self.frames, asserted)

    @cached_property
    def called(self) -> tuple[Frame, ...]:
        """The frames up to where the thread began: what gdb makes up beyond that tells nothing."""
        return frames_called(self.frames)

    @cached_property
    def own(self) -> tuple[Frame, ...]:
        """The frames of Asterisk, its modules and the libraries it uses: not the C library's."""
        return tuple(frame for frame in self.called if not in_c_library(frame))

    @cached_property
    def locks(self) -> WaitAnalysis | None:
        """What the threads' locks come to; None where they cannot be read."""
        sighting = sight(self.backtrace, self.evidence.states)
        return conclude([sighting]) if sighting.known else None

    @property
    def crash_function(self) -> str | None:
        return crash_function(self.stack)

    @property
    def signature(self) -> DecidedSignature:
        return signature(self.stack, self.memory_corruption, waiting=not self.crashed)

    @property
    def debug_threads(self) -> bool:
        asterisk = self.evidence.asterisk
        return bool(asterisk and asterisk.debug_threads) or self.backtrace.debug_threads

    @cached_property
    def signal(self) -> str | None:
        """The signal's name: as the core has it, as the text says it, or SIGABRT where the thread aborts itself."""
        if self.evidence.signal:
            return self.evidence.signal.name
        if self.backtrace.signal:
            return self.backtrace.signal
        thread = crash_thread(self.backtrace, self.evidence.lwp)
        return "SIGABRT" if thread and any(map(aborts, thread.frames)) else None

    @cached_property
    def crashed(self) -> bool:
        """Whether the process crashed, as it is taken to have unless its threads wait for one another."""
        thread = crash_thread(self.backtrace, self.evidence.lwp)
        if not self.hanging or self.backtrace.asserted is not None or self.signal in words("crash_signals"):
            return True
        if any(map(_gave_up, self.backtrace.threads)):
            return True
        return thread is not None and is_crash_thread(thread) and not sleeps(thread)

    @cached_property
    def hanging(self) -> tuple[Thread, ...]:
        """The threads that wait for others, which says something if nothing crashed."""
        return hanging(self.backtrace.threads)

    @property
    def memory_corruption(self) -> MemoryCorruption | None:
        return memory_corruption(self.stack, self.heap_said)

    @property
    def memory_ran_out(self) -> bool:
        """Whether something says that memory could not be had."""
        return memory_ran_out(self.stack, self.heap_said)

    @property
    def heap_said(self) -> tuple[HeapError, ...]:
        """What the allocator complained of: in the text, in the frames' arguments, in the core."""
        texts = [self.evidence.abort_message or "", *(frame.arguments for frame in self.stack.machinery)]
        said = (self.backtrace.heap_said, *map(heading, texts))
        return tuple(each for each in said if isinstance(each, HeapError))


def crash_thread(backtrace: Backtrace, lwp: int | None = None) -> Thread | None:
    """The thread that crashed: the one that got the signal, else one that a signal's handler or an abort is in, else
    gdb's first, else the text's. `lwp` is the process id of the thread that got the signal, where it is known.
    """
    for is_it in (lambda thread: lwp is not None and thread.lwp == lwp, lambda thread: thread.crashed, _gave_up):
        if found := next(filter(is_it, backtrace.threads), None):
            return found
    return backtrace.thread(_FIRST) or next(iter(backtrace.threads), None)


def is_crash_thread(thread: Thread) -> bool:
    """Whether the text says, or gdb's numbering, that `thread` is the one that crashed; else it is a guess."""
    return thread.crashed or thread.number == _FIRST or _gave_up(thread)


def frames_called(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The frames up to the outermost that starts a thread, all if there is none."""
    starts = [index for index, frame in enumerate(frames) if role(frame) is Role.THREAD_START]
    return frames[: starts[-1] + 1] if starts else frames


def aborts(frame: Frame) -> bool:
    """Whether the process ends itself in `frame`."""
    if not frame.function:
        return False
    return plain_name(frame.function) in _ABORTING or (
        role(frame) is Role.ABORT and _RAISING.search(frame.arguments) is not None
    )


def _gave_up(thread: Thread) -> bool:
    return any(frame.signal_handler or aborts(frame) for frame in thread.frames)
