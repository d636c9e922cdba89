"""Parses what gdb, or another program, prints about a core into threads and frames.

One text may hold the header, `bt`, `bt full` and `thread apply all bt`, one after another; each thread is returned
once. Strings from the crashed process's memory cannot forge a frame, because gdb escapes the newlines in a string.

The memory needed is bounded for texts of any length. Lines are cut. Of each thread, the innermost frames are kept; of
threads that did not crash fewer, if there are many threads. The others are only counted.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from astbtd.backtrace.gdb_frame import Frame, WrappedFrame, is_optimized, starts_frame
from astbtd.backtrace.line_prefix import PrefixRemover
from astbtd.backtrace.lines import LOCAL_VARIABLE_INDENT, split_lines, strip_decoration
from astbtd.backtrace.marker_types import (
    EarlierEvent,
    LockListingLine,
    Marker,
    SignalMarker,
    StackStart,
    ThreadSelected,
    UnwindStopped,
)
from astbtd.backtrace.markers import parse_marker
from astbtd.backtrace.markup import clean_line, split_joined_lines
from astbtd.backtrace.messages import MessageCollector
from astbtd.backtrace.other_formats import parse_other_frame
from astbtd.backtrace.parsed_backtrace import Backtrace, Thread
from astbtd.backtrace.stack_builder import StackBuilder
from astbtd.backtrace.thread_builder import ThreadBuilder, ThreadTable

__all__ = ["Backtrace", "Frame", "Thread", "parse"]

# What other programs indent as far as gdb indents local variables.
_INDENTED = ("#", "[0x", "* frame #", "frame #", "Signal: ", "Stack trace of thread ")
_PRINTED_BY_ASTERISK = re.compile(r"# ?\d{1,6}: ")  # no debugger numbers frames like this
_PROMPT = re.compile(r"(?:\((?:gdb|lldb)\)[ \t]*+){1,100}")
_LOOKS_LIKE_FRAME = re.compile(r"(?:frame )?#\d{1,9}\b")
_DEBUG_THREADS = re.compile(r"\bast_ree?ntrancy_(?:un)?lock\b|^=== (?:Currently Held Locks|---> .{0,80}Lock #)")
_MAX_UNPARSED_LENGTH = 200  # characters
_NO_HEADING = StackStart()


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
        self._messages = MessageCollector()
        self._signal: str | None = None
        self._ended = False
        self._sent: bool | None = None
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
        self._prefix = PrefixRemover()

    def finish(self) -> Backtrace:
        self._end_stack()
        messages, log_event = self._messages, self._messages.log_event
        return Backtrace(
            threads=self._threads.finish(self._selected_by_gdb),
            signal=self._signal or (log_event.signal if log_event else None),
            ended=self._ended,
            sent=self._sent,
            crashed_number=self._selected_by_gdb.number if self._selected_by_gdb else None,
            live=messages.live,
            log_event=log_event,
            report=messages.report,
            access=messages.access,
            freed=messages.earlier_stack(EarlierEvent.FREED),
            allocated=messages.earlier_stack(EarlierEvent.ALLOCATED),
            assertion_function=messages.assertion_function,
            heap_error=messages.heap_error,
            optimized=self._optimized,
            debug_threads=self._debug_threads,
            threads_omitted=self._threads.omitted,
            unparsed_lines=self._unparsed_lines,
            first_unparsed_line=self._first_unparsed_line,
        )

    def add_line(self, line: str) -> None:
        if self._stack.is_in_argument or line.startswith(LOCAL_VARIABLE_INDENT):
            self._add_clean_line(clean_line(line))
            return
        for piece in split_joined_lines(line):
            self._add_clean_line(piece)

    def _is_local_variable(self, line: str) -> bool:
        if not line.startswith(LOCAL_VARIABLE_INDENT) or line.lstrip().startswith(_INDENTED):
            return False
        return not self._prefix.knows(line)

    def _add_clean_line(self, line: str) -> None:
        self._detect_build_flags(line)
        if self._is_local_variable(line):
            self._stack.continue_frame(line)
            return
        stripped = strip_decoration(line)
        if stripped is None:
            return
        if not self._stack.is_in_argument or self._prefix.knows(stripped):
            stripped = self._prefix.remove(stripped)
            if self._is_local_variable(stripped):
                self._stack.continue_frame(stripped)
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
        # The prefix that the log puts before an assertion's message names the function and the thread.
        if marker := parse_marker(whole_line if _is_logged_by_thread(whole_line) else body):
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
            case LockListingLine():
                self._add_lock(marker)
            case _:
                self._messages.add(marker)

    def _start_stack(self, heading: StackStart) -> None:
        known = self._heading
        if heading.report and not self._stack.has_frames and known.number is not None and not known.earlier:
            heading = replace(heading, number=known.number)  # valgrind prints `Thread 7:` before the error
        self._end_stack()
        self._heading = heading
        report = heading.report
        if report:
            self._messages.add_report(report)
        if name := heading.signal or (report.signal if report else None):
            self._set_signal(SignalMarker(name))

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
        self._ended = self._ended or marker.ended
        if marker.sent is not None:
            self._sent = marker.sent
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
        if stack.frames and self._heading.earlier:
            self._messages.add_earlier_stack(self._heading, stack.frames)
        elif stack.frames:
            self._keep(stack)
        self._stack = StackBuilder()
        self._stack_is_lock_entry = False
        self._unwind_error = None

    def _keep(self, stack: StackBuilder) -> None:
        thread = self._find_thread(stack.frames)
        thread.unwind_error = thread.unwind_error or self._unwind_error
        thread.crashed = thread.crashed or self._heading.crashed
        thread.report = thread.report or self._heading.report
        if self._heading.printed_by_assertion or _PRINTED_BY_ASTERISK.match(stack.frames[0].text):
            thread.assertion_function = self._messages.find_assertion(self._heading.log_thread)
        self._threads.add_listing(thread, stack.frames, stack.frame_count)

    def _find_thread(self, frames: Sequence[Frame] = ()) -> ThreadBuilder:
        """Return the thread that `frames` belong to."""
        heading = self._heading
        if heading.number is not None:
            return self._threads.with_number(heading.number, heading.lwp)
        if heading.lwp is not None:
            return self._threads.with_lwp(heading.lwp)
        selected = self._selected_by_user
        if selected and selected.number is not None:
            return self._threads.with_number(selected.number)
        return self._threads.with_frames(frames)


def _is_logged_by_thread(line: str) -> bool:
    return "FRACK!" in line or " backtrace records" in line


def _parse_frame(body: str, indent: int) -> Frame | WrappedFrame | None:
    """Return the frame that starts with this line, or None."""
    if frame := parse_other_frame(body):
        return frame
    return WrappedFrame(body, indent) if starts_frame(body) else None
