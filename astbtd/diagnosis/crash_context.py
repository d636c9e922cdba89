"""One crash under diagnosis: the backtrace, the thread that crashed, and what else is known."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from astbtd.backtrace.lock_listing import LockListing
from astbtd.backtrace.marker_types import HeapError
from astbtd.backtrace.markers import parse_marker
from astbtd.backtrace.parser import Backtrace, Frame, Thread, parse
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.crash_thread import aborts, drop_bogus_frames, find_crash_thread
from astbtd.diagnosis.deadlock.wait_graph import WaitAnalysis, analyze_samples, build_sample
from astbtd.diagnosis.frame_kind import in_c_library, plain_object
from astbtd.diagnosis.hangs import find_hanging_threads
from astbtd.diagnosis.kind import NOT_GROUPED, decide_kind
from astbtd.diagnosis.memory_corruption import detect_memory_corruption, is_out_of_memory, judge_report
from astbtd.diagnosis.recursion import Recursion, find_recursion
from astbtd.diagnosis.signature import (
    compute_signature,
    find_crash_function,
    signature_of_deadlock,
    signature_of_overwritten,
)
from astbtd.diagnosis.stack_damage import Jump, Overwritten, find_jump, find_overwritten
from astbtd.model.crash import Asterisk, Extraction, LostCore, ReplacedFile, SentBy, Signal
from astbtd.model.deadlock_capture import ThreadStates
from astbtd.model.diagnosis import DecidedSignature, Kind, MemoryCorruption

_UNWINDER = "libgcc_s"


@dataclass(frozen=True)
class Evidence:
    """What is known of a crash besides the text of its backtrace. The defaults mean "not known".

    `signal`, and `lwp`, the thread that got it, are from the core's notes. They take precedence over the text.
    `truncated`: the core file is incomplete. `changed_binary`: the executable on disk has another build ID than the
    core. `unreadable`: the objects that gdb could not read. `abort_message` is the C library's message when it aborted
    the process. `states` are what the registers of the threads say, `locks` what locks.txt lists. `frame_count` is the
    number of frames of the crashed thread if the text has only a part of them. `sent_by` is the other process that sent
    the signal. `replaced` are files that are another build now. `container`: the process ran in a container whose files
    are not known. `loss`: why there is no core. `executable` is the path of the program; `package_of` returns the
    package that owns a file, `advise_symbols` how to install the debug symbols of files on this machine. `locate`
    returns frames with their objects and offsets, as far as the core has them. `memory_corruption` is what was decided
    when the core could be read.
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
    locks: LockListing = field(default_factory=LockListing)
    frame_count: int | None = None
    sent_by: SentBy | None = None
    replaced: tuple[ReplacedFile, ...] = ()
    container: bool = False
    loss: LostCore | None = None
    executable: str | None = None
    package_of: Callable[[str], str | None] = lambda _: None
    advise_symbols: Callable[[Sequence[str]], Sequence[str]] = lambda _: ()
    locate: Callable[[Sequence[Frame]], Sequence[Frame]] = tuple
    memory_corruption: MemoryCorruption | None = None


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
    def kind(self) -> Kind:
        """What the text is about."""
        if self.evidence.sent_by:
            return Kind.SENT
        hangs = bool(self.hanging_threads)
        return decide_kind(
            self.backtrace, self._crash_thread, self.evidence.signal, has_core=self.has_core, hangs=hangs
        )

    @property
    def has_core(self) -> bool:
        """True if there is or was a core."""
        return self.evidence.extraction is not None or self.evidence.loss is not None

    @cached_property
    def thread(self) -> Thread | None:
        """The thread that the diagnosis is about: the one that crashed; if threads wait, the first one that does."""
        if self.kind is Kind.INCOMPLETE:
            return None
        return self.hanging_threads[0] if self.kind is Kind.DEADLOCK else self._crash_thread

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
    def located_stack(self) -> CrashStack:
        """The same frames, with their objects and offsets as far as the core has them."""
        return replace(self.stack, frames=tuple(self.evidence.locate(self.stack.frames)))

    @cached_property
    def jump(self) -> Jump | None:
        """The call of an address where there is no function."""
        fault = self.evidence.signal.address if self.evidence.signal else None
        return find_jump(self.located_stack.frames, int(fault, 16) if fault else None)

    @cached_property
    def overwritten(self) -> Overwritten | None:
        """Where the stack is overwritten. Frames beyond the start of a thread do not count.

        Behind a frame in a replaced file, gdb finds wrong return addresses, which proves nothing.
        """
        if self.replaced_in_crash:
            return None
        frames = drop_bogus_frames(self.located_stack.frames)
        return find_overwritten(frames, self.thread.unwind_error if self.thread else None)

    @cached_property
    def replaced_in_crash(self) -> tuple[ReplacedFile, ...]:
        """The replaced files that contain frames of the crash."""
        libraries = {frame.library for frame in self.located_stack.frames if frame.function is None}
        return tuple(each for each in self.evidence.replaced if each.path in libraries)

    @cached_property
    def codeless_levels(self) -> frozenset[int]:
        """The numbers of the frames that are no functions."""
        levels = {level for each in (self.jump, self.overwritten) if each for level in each.levels}
        if self.overwritten:  # the unwinder, which DEBUG_THREADS calls, may crash on such a stack
            levels.update(frame.level for frame in self.frames if _is_unnamed_unwinder(frame))
        return frozenset(levels)

    @cached_property
    def nameless_levels(self) -> frozenset[int]:
        """The numbers of the frames that no symbols could name: no code is there, or the file was replaced."""
        replaced = {each.path for each in self.replaced_in_crash}
        in_replaced = (frame.level for frame in self.located_stack.frames if frame.library in replaced)
        return self.codeless_levels.union(in_replaced)

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
        sample = build_sample(self.backtrace, self.evidence.states, self.evidence.locks, consistent=True)
        return analyze_samples([sample]) if sample.readable else None

    @property
    def deadlocked_functions(self) -> tuple[str, ...]:
        """The functions in which the threads of a deadlock wait, in an order that does not depend on the threads."""
        analysis = self.lock_analysis
        if analysis is None or analysis.cycle is None:
            return ()
        functions = {wait.function for wait in analysis.waits if wait.lwp in analysis.cycle}
        return tuple(sorted(function for function in functions if function))

    @property
    def crash_function(self) -> str | None:
        """The function to file the bug under; None if none is named, or if the text shows no bug."""
        if self.kind in (Kind.LIVE, Kind.INCOMPLETE):
            return None
        if self.recursion:
            return self.recursion.functions[0]
        if self.overwritten and self.overwritten.function:
            return self.overwritten.function
        if self.kind is Kind.SENT and self.deadlocked_functions:
            return self.deadlocked_functions[0]
        # A frame in a replaced file has no name, and must not be passed over: only its object is known.
        stack = self.located_stack if self.replaced_in_crash else self.stack
        return find_crash_function(stack) or self._function_in_message

    @cached_property
    def recursion(self) -> Recursion | None:
        """The functions that call one another until the stack is full."""
        report = self.backtrace.report
        overflow = report is not None and report.error.startswith("stack-overflow")
        frame_count = self.evidence.frame_count or (self.thread.frame_count if self.thread else 0)
        return find_recursion(self.stack, frame_count, overflow=overflow)

    @cached_property
    def signature(self) -> DecidedSignature | None:
        """What crashes of this bug have in common; None if the text does not say enough to group it."""
        if not self.frames or (self.kind in NOT_GROUPED and not self.has_core):
            return None
        if self.kind is Kind.SENT and not self.has_core:
            return None
        if self.kind is Kind.SENT and self.deadlocked_functions:
            return signature_of_deadlock(self.deadlocked_functions)
        if self.overwritten and self.overwritten.function and not self.recursion:
            return signature_of_overwritten(self.overwritten.function)
        return compute_signature(
            self.located_stack,
            self.memory_corruption,
            waiting=self.kind is Kind.DEADLOCK,
            leak=self.kind is Kind.LEAK,
            recursion=self.recursion.cycle if self.recursion else (),
            function_in_message=self._function_in_message,
            has_core=self.has_core,
        )

    @property
    def _function_in_message(self) -> str | None:
        """The function that a message of MALLOC_DEBUG or of assert() names."""
        error, event = self.backtrace.heap_error, self.backtrace.log_event
        if error and error.function and error.message.startswith("Freeing"):
            return error.function
        return event.function if event else None

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
        if thread:
            return "SIGABRT" if any(map(aborts, thread.frames)) else None
        error = self.backtrace.heap_error
        aborted = error and not error.out_of_memory and not error.malloc_debug
        return "SIGABRT" if aborted else None

    @property
    def crashed(self) -> bool:
        """False if threads only wait for one another, or if nothing is wrong."""
        return self.kind not in (Kind.DEADLOCK, Kind.LIVE)

    @cached_property
    def hanging_threads(self) -> tuple[Thread, ...]:
        """The threads that wait for others. They mean something only if nothing crashed."""
        return find_hanging_threads(self.backtrace.threads)

    @property
    def memory_corruption(self) -> MemoryCorruption | None:
        if self.evidence.memory_corruption is not None:
            return self.evidence.memory_corruption
        if self.kind in (Kind.LEAK, Kind.LIVE) or self.recursion:
            return MemoryCorruption.NONE
        report = self.backtrace.report
        decided = judge_report(report) if report else None
        return decided or detect_memory_corruption(self.stack, self.heap_errors)

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


def _is_unnamed_unwinder(frame: Frame) -> bool:
    return frame.function is None and frame.library is not None and plain_object(frame.library).startswith(_UNWINDER)
