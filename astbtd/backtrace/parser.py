"""Parses what gdb, or another program, prints about a core into threads and frames.

One text may hold the header, `bt`, `bt full` and `thread apply all bt`, one after another; each thread is returned
once. Strings from the crashed process's memory cannot forge a frame, because gdb escapes the newlines in a string.

The memory needed is bounded for texts of any length. Lines are cut. Of each thread, the innermost frames are kept; of
threads that did not crash fewer, if there are many threads. The others are only counted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from astbtd.backtrace.gdb_frame import Frame, WrappedFrame, is_optimized, starts_frame
from astbtd.backtrace.lines import LOCAL_VARIABLE_INDENT, split_lines, strip_decoration
from astbtd.backtrace.markers import (
    AssertionMarker,
    HeapError,
    LockListingLine,
    Marker,
    SignalMarker,
    StackStart,
    ThreadSelected,
    UnwindStopped,
    parse_marker,
)
from astbtd.backtrace.other_formats import parse_other_frame
from astbtd.backtrace.stack_builder import StackBuilder
from astbtd.backtrace.thread_builder import Thread, ThreadBuilder, ThreadTable

__all__ = ["Backtrace", "Frame", "Thread", "parse"]

# What other programs indent as far as gdb indents local variables.
_INDENTED = ("#", "[0x", "* frame #", "frame #", "Signal: ", "Stack trace of thread ")
_PROMPT = re.compile(r"(?:\((?:gdb|lldb)\)[ \t]*+){1,100}")
_LOOKS_LIKE_FRAME = re.compile(r"(?:frame )?#\d{1,9}\b")
_DEBUG_THREADS = re.compile(r"\bast_ree?ntrancy_(?:un)?lock\b|^=== (?:Currently Held Locks|---> .{0,80}Lock #)")
_MAX_UNPARSED_LENGTH = 200  # characters
_NO_HEADING = StackStart()


@dataclass(frozen=True)
class Backtrace:
    """All threads of a text, in its order, and what the lines around them say.

    `signal` is a name such as SIGSEGV. `assertion_function` is the function in which an assertion of Asterisk failed,
    empty if the log does not name it, None if none failed. `heap_error` is the first message of an allocator.
    `optimized`: the text contains `<optimized out>`. `debug_threads`: the text contains something that only builds with
    DEBUG_THREADS have. `unparsed_lines` counts the lines that look like frames but could not be parsed.
    """

    threads: tuple[Thread, ...] = ()
    signal: str | None = None
    assertion_function: str | None = None
    heap_error: HeapError | None = None
    optimized: bool = False
    debug_threads: bool = False
    threads_omitted: int = 0
    unparsed_lines: int = 0
    first_unparsed_line: str | None = None

    def thread(self, number: int) -> Thread | None:
        """Return the thread with this number in gdb."""
        for thread in self.threads:
            if thread.number == number:
                return thread
        return None


def parse(text: str | Iterable[str]) -> Backtrace:
    """Parse a text, or a text that comes in pieces. No text raises an error: junk has fewer frames."""
    parser = _Parser()
    for line in split_lines(text):
        parser.add_line(line)
    return parser.finish()


class _Parser:
    """Parses one line after another. A thread's heading precedes its frames.

    Frames without a heading belong to the thread that was selected last.
    """

    def __init__(self) -> None:
        self._threads = ThreadTable()
        # what is returned besides the threads
        self._signal: str | None = None
        self._assertion_function: str | None = None
        self._heap_error: HeapError | None = None
        self._optimized = False
        self._debug_threads = False
        self._unparsed_lines = 0
        self._first_unparsed_line: str | None = None
        # which thread the next frames belong to
        self._selected_by_gdb: ThreadSelected | None = None
        self._selected_by_user: ThreadSelected | None = None
        self._heading = _NO_HEADING
        self._prompt_seen = False
        # the stack that is being parsed
        self._stack = StackBuilder()
        self._stack_is_lock_entry = False  # made of one line of `core show locks`, until a better one follows
        self._unwind_error: str | None = None
        self._last_assertion: str | None = None

    def finish(self) -> Backtrace:
        self._end_stack()
        return Backtrace(
            threads=self._threads.finish(self._selected_by_gdb),
            signal=self._signal,
            assertion_function=self._assertion_function,
            heap_error=self._heap_error,
            optimized=self._optimized,
            debug_threads=self._debug_threads,
            threads_omitted=self._threads.omitted,
            unparsed_lines=self._unparsed_lines,
            first_unparsed_line=self._first_unparsed_line,
        )

    def add_line(self, line: str) -> None:
        self._detect_build_flags(line)
        if line.startswith(LOCAL_VARIABLE_INDENT) and not line.lstrip().startswith(_INDENTED):
            self._stack.continue_frame(line)
            return
        stripped = strip_decoration(line)
        if stripped is None:
            return
        if stripped.startswith(("(gdb)", "(lldb)")):
            self._stack.end_frame()
            self._prompt_seen = True
            stripped = _PROMPT.sub("", stripped, count=1)
        self._add_stripped_line(stripped, line)

    def _detect_build_flags(self, line: str) -> None:
        # The cheap tests come first: this runs for every line.
        if "optimized out>" in line and not self._optimized:
            self._optimized = is_optimized(line)
        if ("entrancy" in line or line.startswith("===")) and _DEBUG_THREADS.search(line):
            self._debug_threads = True

    def _add_stripped_line(self, line: str, whole_line: str) -> None:
        body = line.lstrip()
        if not body:
            self._stack.end_frame()
            return
        if frame := _parse_frame(body, indent=len(line) - len(body)):
            if not self._stack.absorb(frame, line):
                self._add_frame(frame)
            return
        # The prefix that the log puts before an assertion's message names the function.
        if marker := parse_marker(whole_line if "FRACK!" in whole_line else body):
            self._stack.end_frame()
            self._add_marker(marker)
            return
        if not self._stack.continue_frame(line) and _LOOKS_LIKE_FRAME.match(body):
            self._count_unparsed(body)

    def _add_frame(self, frame: Frame | WrappedFrame) -> None:
        if self._stack_is_lock_entry:  # a trace of the lock follows, which replaces the entry
            self._stack = StackBuilder()
            self._stack_is_lock_entry = False
        if self._stack.starts_another_stack(frame):
            self._end_stack()
            self._heading = _NO_HEADING
        self._stack.start_frame(frame)

    def _count_unparsed(self, body: str) -> None:
        self._unparsed_lines += 1
        if not self._first_unparsed_line:
            self._first_unparsed_line = body[:_MAX_UNPARSED_LENGTH]

    def _add_marker(self, marker: Marker) -> None:
        match marker:
            case StackStart():
                self._start_stack(marker)
            case ThreadSelected():
                self._end_stack()
                self._heading = _NO_HEADING
                self._select(marker)
            case SignalMarker():
                self._set_signal(marker)
            case UnwindStopped():
                self._unwind_error = marker.reason
            case AssertionMarker():
                self._last_assertion = marker.function or ""
                self._assertion_function = self._assertion_function or self._last_assertion
            case LockListingLine():
                self._add_lock(marker)
            case HeapError():
                self._heap_error = self._heap_error or marker

    def _start_stack(self, heading: StackStart) -> None:
        self._end_stack()
        self._heading = heading
        if heading.signal:
            self._set_signal(SignalMarker(heading.signal))

    def _select(self, selected: ThreadSelected) -> None:
        known = self._selected_by_gdb
        if not selected.crashed:
            self._selected_by_user = selected
        elif self._may_replace(known):
            # `Thread 65 received signal ...` has the number only, the `[Switching to ...]` after it the LWP only.
            if known and selected.number is None:
                selected = replace(selected, number=known.number)
            self._selected_by_gdb = selected

    def _set_signal(self, marker: SignalMarker) -> None:
        if not self._may_replace(self._signal):
            return
        self._signal = marker.signal
        if marker.number is not None:
            self._selected_by_gdb = ThreadSelected(marker.number)

    def _may_replace(self, known: object) -> bool:
        """Return True if a line about the crash counts.

        In the header, the last such line counts: the command line, which is printed before, may contain any line.
        Answers to commands at a prompt come later, and do not replace it.
        """
        return known is None or not self._prompt_seen

    def _add_lock(self, lock: LockListingLine) -> None:
        self._end_stack()
        thread = self._find_thread()
        thread.locks.append(lock)
        if lock.waiting:
            thread.discard_frames()
            text = f"{lock.function} at {lock.file}:{lock.line}"
            self._stack.start_frame(Frame(level=0, text=text, function=lock.function))
            self._stack_is_lock_entry = True

    def _end_stack(self) -> None:
        """End a listing of frames, and add it to its thread."""
        stack = self._stack
        stack.end_frame()
        if stack.frames and not self._heading.earlier_event:
            self._keep(stack)
        self._stack = StackBuilder()
        self._stack_is_lock_entry = False
        self._unwind_error = None

    def _keep(self, stack: StackBuilder) -> None:
        thread = self._find_thread(stack.frames[0])
        thread.unwind_error = thread.unwind_error or self._unwind_error
        thread.crashed = thread.crashed or self._heading.crashed
        if self._heading.printed_by_assertion:
            thread.assertion_function = self._last_assertion or ""
        self._threads.add_listing(thread, stack.frames, stack.frame_count)

    def _find_thread(self, frame: Frame | None = None) -> ThreadBuilder:
        """Return the thread that the next frames belong to. `frame` is their innermost one."""
        heading = self._heading
        if heading.number is not None:
            return self._threads.with_number(heading.number, heading.lwp)
        if heading.lwp is not None:
            return self._threads.with_lwp(heading.lwp)
        selected = self._selected_by_user
        if selected and selected.number is not None:
            return self._threads.with_number(selected.number)
        return self._threads.with_frame(frame)


def _parse_frame(body: str, indent: int) -> Frame | WrappedFrame | None:
    """Return the frame that starts with this line, or None."""
    if frame := parse_other_frame(body):
        return frame
    return WrappedFrame(body, indent) if starts_frame(body) else None
