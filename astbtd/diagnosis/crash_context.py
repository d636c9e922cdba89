"""One crash under diagnosis: the backtrace, the thread that crashed, and what else is known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from astbtd.backtrace.markers import HeapError, parse_marker
from astbtd.backtrace.parser import Backtrace, Frame, Thread, parse
from astbtd.backtrace.thread_builder import FIRST_THREAD
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.deadlock.wait_graph import WaitAnalysis, analyze_samples, build_sample
from astbtd.diagnosis.frame_kind import FrameKind, classify, in_c_library, plain_name
from astbtd.diagnosis.hangs import find_hanging_threads, is_sleeping
from astbtd.diagnosis.memory_corruption import detect_memory_corruption, is_out_of_memory
from astbtd.diagnosis.signature import compute_signature, find_crash_function
from astbtd.diagnosis.word_lists import load_words
from astbtd.model.crash import Asterisk, Extraction, LostCore, Signal
from astbtd.model.deadlock_capture import ThreadStates
from astbtd.model.diagnosis import DecidedSignature, MemoryCorruption

_ABORT_FUNCTIONS = frozenset({"abort", "__assert_fail", "__assert", "__libc_message", "__fortify_fail", "ast_do_crash"})
_SIGABRT_ARGUMENT = re.compile(r"\bsig(?:no)?(?:=sig(?:no)?@entry)?=6\b")


@dataclass(frozen=True)
class Evidence:
    """What is known of a crash besides the text of its backtrace. The defaults mean "not known".

    `signal`, and `lwp`, the thread that got it, are from the core's notes. They take precedence over the text.
    `truncated`: the core file is incomplete. `changed_binary`: the executable on disk has another build ID than the
    core. `unreadable`: the objects that gdb could not read. `abort_message` is the C library's message when it aborted
    the process. `states` are what the registers of the threads say. `container`: the process ran in a container whose
    files are not known. `loss`: why there is no core.
    """

    signal: Signal | None = None
    lwp: int | None = None
    asterisk: Asterisk | None = None
    extraction: Extraction | None = None
    truncated: bool = False
    changed_binary: bool = False
    unreadable: tuple[str, ...] = ()
    abort_message: str | None = None
    states: ThreadStates = field(default_factory=ThreadStates)
    container: bool = False
    loss: LostCore | None = None


@dataclass(frozen=True)
class CrashContext:
    """A backtrace with its evidence, and what follows from both: the input of all findings."""

    backtrace: Backtrace
    evidence: Evidence

    @classmethod
    def from_text(cls, text: str | Iterable[str], evidence: Evidence) -> "CrashContext":
        """Parse a text, or a text that comes in pieces."""
        return cls(parse(text), evidence)

    @cached_property
    def thread(self) -> Thread | None:
        """The thread that crashed. If nothing crashed, the first one that hangs."""
        return self._crash_thread if self.crashed else self.hanging_threads[0]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of that thread, innermost first."""
        return self.thread.frames if self.thread else ()

    @cached_property
    def stack(self) -> CrashStack:
        """The frames that are the crash."""
        source = self.thread or self.backtrace
        return CrashStack.from_frames(self.frames, source.assertion_function)

    @cached_property
    def valid_frames(self) -> tuple[Frame, ...]:
        """The frames of the thread, without bogus ones beyond the thread's start."""
        return drop_bogus_frames(self.frames)

    @cached_property
    def own_frames(self) -> tuple[Frame, ...]:
        """The valid frames of Asterisk, its modules and the libraries it uses, without those of the C library."""
        return tuple(frame for frame in self.valid_frames if not in_c_library(frame))

    @cached_property
    def lock_analysis(self) -> WaitAnalysis | None:
        """Which threads wait for which locks; None if the locks cannot be read."""
        sample = build_sample(self.backtrace, self.evidence.states)
        return analyze_samples([sample]) if sample.readable else None

    @property
    def crash_function(self) -> str | None:
        return find_crash_function(self.stack)

    @property
    def signature(self) -> DecidedSignature:
        return compute_signature(self.stack, self.memory_corruption, waiting=not self.crashed)

    @property
    def debug_threads(self) -> bool:
        asterisk = self.evidence.asterisk
        if asterisk and asterisk.debug_threads:
            return True
        return self.backtrace.debug_threads

    @cached_property
    def signal(self) -> str | None:
        """The signal's name: from the core, else from the text, else SIGABRT if the thread aborts the process."""
        if self.evidence.signal:
            return self.evidence.signal.name
        if self.backtrace.signal:
            return self.backtrace.signal
        thread = self._crash_thread
        return "SIGABRT" if thread and any(map(aborts, thread.frames)) else None

    @cached_property
    def crashed(self) -> bool:
        """True if the process crashed, False if its threads only wait for one another."""
        if not self.hanging_threads or self.backtrace.assertion_function is not None:
            return True
        if self.signal in load_words("crash_signals"):
            return True
        if any(map(_handles_signal_or_aborts, self.backtrace.threads)):
            return True
        thread = self._crash_thread
        return thread is not None and is_known_to_have_crashed(thread) and not is_sleeping(thread)

    @cached_property
    def hanging_threads(self) -> tuple[Thread, ...]:
        """The threads that wait for others. They mean something only if nothing crashed."""
        return find_hanging_threads(self.backtrace.threads)

    @property
    def memory_corruption(self) -> MemoryCorruption | None:
        return detect_memory_corruption(self.stack, self.heap_errors)

    @property
    def out_of_memory(self) -> bool:
        """True if an allocation failed."""
        return is_out_of_memory(self.stack, self.heap_errors)

    @property
    def heap_errors(self) -> tuple[HeapError, ...]:
        """The allocator's messages: in the text, in the core, and in the arguments of frames."""
        texts = [self.evidence.abort_message or ""]
        texts += [frame.arguments for frame in self.stack.library_frames]
        candidates = [self.backtrace.heap_error, *map(parse_marker, texts)]
        return tuple(error for error in candidates if isinstance(error, HeapError))

    @cached_property
    def _crash_thread(self) -> Thread | None:
        return find_crash_thread(self.backtrace, self.evidence.lwp)


def find_crash_thread(backtrace: Backtrace, lwp: int | None = None) -> Thread | None:
    """Return the thread that crashed. `lwp` is the thread that got the signal, if known.

    In this order: the thread that got the signal, the one that the text says crashed, one that is in a signal handler
    or aborts, gdb's first, the first of the text.
    """
    if lwp is not None:
        for thread in backtrace.threads:
            if thread.lwp == lwp:
                return thread
    for thread in backtrace.threads:
        if thread.crashed:
            return thread
    for thread in backtrace.threads:
        if _handles_signal_or_aborts(thread):
            return thread
    return backtrace.thread(FIRST_THREAD) or next(iter(backtrace.threads), None)


def is_known_to_have_crashed(thread: Thread) -> bool:
    """Return True if the text, or gdb's numbering, says that `thread` crashed; False if that is a guess."""
    return thread.crashed or thread.number == FIRST_THREAD or _handles_signal_or_aborts(thread)


def drop_bogus_frames(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the frames up to the thread's start function. gdb may invent frames beyond it. Without one, return all."""
    for index in range(len(frames) - 1, -1, -1):
        if classify(frames[index]) is FrameKind.THREAD_START:
            return frames[: index + 1]
    return frames


def aborts(frame: Frame) -> bool:
    """Return True if the process ends itself in `frame`."""
    if not frame.function:
        return False
    if plain_name(frame.function) in _ABORT_FUNCTIONS:
        return True
    return classify(frame) is FrameKind.ABORT and _SIGABRT_ARGUMENT.search(frame.arguments) is not None


def _handles_signal_or_aborts(thread: Thread) -> bool:
    return any(frame.signal_handler or aborts(frame) for frame in thread.frames)
