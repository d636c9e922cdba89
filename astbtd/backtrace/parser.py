"""Reads what gdb, or another program, printed about a core into threads and frames.

One text may hold the header, `bt`, `bt full` and `thread apply all bt`, one after another: each thread comes out once.
Text from the crashed process's memory cannot forge a frame, since gdb writes the newlines of a string as escapes.

What is kept of a text is bounded, however long it is: lines are cut, of a thread the innermost frames are kept, fewer
where the thread did not crash and there are many; the rest is counted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from astbtd.backtrace import other_formats
from astbtd.backtrace.gdb_frame import Frame, FrameText, is_optimized, starts_frame
from astbtd.backtrace.lines import bare, lines
from astbtd.backtrace.markers import (
    AssertionMarker,
    Heading,
    HeapError,
    LockListingLine,
    SignalMarker,
    StackStart,
    ThreadSelected,
    UnwindingStopped,
    heading,
)
from astbtd.backtrace.stack_builder import StackText
from astbtd.backtrace.thread_builder import ThreadBuilder
from astbtd.backtrace.thread_listing import Thread, ThreadListing

__all__ = ["Backtrace", "Frame", "Thread", "parse"]

_LOCAL = "        "  # what gdb puts before a local variable
_INDENTED = ("#", "[0x", "* frame #", "frame #", "Signal: ", "Stack trace of thread ")  # what others indent as far
_PROMPT = re.compile(r"(?:\((?:gdb|lldb)\)[ \t]*+){1,100}")
_LIKE_A_FRAME = re.compile(r"(?:frame )?#\d{1,9}\b")
_OF_DEBUG_THREADS = re.compile(r"\bast_ree?ntrancy_(?:un)?lock\b|^=== (?:Currently Held Locks|---> .{0,80}Lock #)")


@dataclass(frozen=True)
class Backtrace:
    """All threads of a text, in its order, and what the lines around them say.

    `signal` is a name such as SIGSEGV. `asserted` is the function in which an assertion of Asterisk's failed, empty if
    the log does not name it. `heap_said` is what the allocator complained of. `optimized`: `<optimized out>` stands
    anywhere. `debug_threads`: something is there that only builds with DEBUG_THREADS have. `unread` counts lines that
    look like frames and are none, `first_unread` is one of them.
    """

    threads: tuple[Thread, ...] = ()
    signal: str | None = None
    asserted: str | None = None
    heap_said: HeapError | None = None
    optimized: bool = False
    debug_threads: bool = False
    threads_left_out: int = 0
    unread: int = 0
    first_unread: str | None = None

    def thread(self, number: int | None) -> Thread | None:
        """The thread of that number."""
        return next((thread for thread in self.threads if thread.number == number), None)


def parse(text: str | Iterable[str]) -> Backtrace:
    """The threads in `text`, or in the pieces it comes in: junk gives fewer frames, never an exception."""
    reader = _Reader()
    for line in lines(text):
        reader.line(line)
    return reader.backtrace()


class _Reader:
    """Takes the lines one by one. A thread's number stands before its frames; frames without one are the selected's."""

    def __init__(self) -> None:
        self._backtrace = Backtrace()
        self._threads = ThreadBuilder()
        self._current: ThreadSelected | None = None  # whom gdb selected by itself
        self._selected: ThreadSelected | None = None  # whom somebody selected
        self._prompted = False
        self._heading: StackStart | None = None  # of the frames that come
        self._asserted: str | None = None  # the function of the last FRACK message
        self._stack = StackText()
        self._stopped: str | None = None
        self._until_traced = False  # the stack is a lock's entry, until a trace of it comes

    def backtrace(self) -> Backtrace:
        self._end_stack()
        threads = self._threads.gathered(self._current)
        return replace(self._backtrace, threads=threads, threads_left_out=self._threads.left_out)

    def line(self, line: str) -> None:
        self._look_for_marks(line)
        if line.startswith(_LOCAL) and not line.lstrip().startswith(_INDENTED):
            self._stack.go_on(line)
            return
        plain = bare(line)
        if plain is None:
            return
        if plain.startswith(("(gdb)", "(lldb)")):
            self._stack.end_frame()
            self._prompted = True
            plain = _PROMPT.sub("", plain, count=1)
        self._plain_line(plain, line)

    def _plain_line(self, line: str, whole: str) -> None:
        body = line.lstrip()
        frame = _frame(body, len(line) - len(body))
        if not body:
            self._stack.end_frame()
        elif frame:
            if not self._stack.swallow(frame, line):
                self._take(frame)
        elif said := heading(whole if "FRACK!" in whole else body):  # the log tells whose assertion it was
            self._stack.end_frame()
            self._hear(said)
        elif not self._stack.go_on(line) and _LIKE_A_FRAME.match(body):
            self._note(unread=self._backtrace.unread + 1, first_unread=self._backtrace.first_unread or body[:200])

    def _take(self, frame: Frame | FrameText) -> None:
        if self._until_traced:
            self._stack, self._until_traced = StackText(), False
        if self._stack.ends_before(frame):
            self._end_stack()
            self._heading = None
        self._stack.begin(frame)

    def _hear(self, said: Heading) -> None:
        match said:
            case StackStart():
                self._begin_stack(said)
            case ThreadSelected():
                self._end_stack()
                self._heading = None
                self._select(said)
            case SignalMarker():
                self._signalled(said)
            case UnwindingStopped():
                self._stopped = said.reason
            case AssertionMarker():
                self._asserted = said.function or ""
                self._note(asserted=self._backtrace.asserted or self._asserted)
            case LockListingLine():
                self._lock(said)
            case HeapError() if not self._backtrace.heap_said:
                self._note(heap_said=said)
            case _:
                pass

    def _begin_stack(self, said: StackStart) -> None:
        self._end_stack()
        self._heading = said
        if said.signal:
            self._signalled(SignalMarker(said.signal))

    def _select(self, said: ThreadSelected) -> None:
        if not said.crashed:
            self._selected = said
        elif self._in_header(self._current):
            known = self._current.number if self._current and said.number is None else said.number
            self._current = replace(said, number=known)

    def _signalled(self, said: SignalMarker) -> None:
        if self._in_header(self._backtrace.signal):
            self._note(signal=said.signal)
            self._current = ThreadSelected(said.number) if said.number is not None else self._current

    def _in_header(self, known: object) -> bool:
        """Whether a heading still counts: the header's last one does, as the command line printed before may hold any
        line; what somebody asked at a prompt later does not.
        """
        return known is None or not self._prompted

    def _lock(self, said: LockListingLine) -> None:
        self._end_stack()
        listing = self._of_whom()
        listing.locks.append(said)
        if said.waiting:
            listing.forget_frames()
            self._stack.begin(Frame(0, f"{said.function} at {said.file}:{said.line}", None, said.function))
            self._until_traced = True

    def _end_stack(self) -> None:
        """Ends a listing of frames; what follows without a heading is the selected thread's again."""
        stack, self._stack = self._stack, StackText()
        stack.end_frame()
        if stack.frames and not (self._heading and self._heading.aside):
            self._keep(stack)
        self._stopped, self._until_traced = None, False

    def _keep(self, stack: StackText) -> None:
        listing = self._of_whom(stack.frames[0])
        listing.stopped = listing.stopped or self._stopped
        if self._heading:
            listing.crashed = listing.crashed or self._heading.crashed
            listing.asserted = (self._asserted or "") if self._heading.asserted else listing.asserted
        self._threads.add(listing, stack.frames, stack.count)

    def _of_whom(self, frame: Frame | None = None) -> ThreadListing:
        if self._heading and self._heading.number is not None:
            return self._threads.numbered(self._heading.number, self._heading.lwp)
        if self._heading and self._heading.lwp is not None:
            return self._threads.with_lwp(self._heading.lwp)
        if self._selected and self._selected.number is not None:
            return self._threads.numbered(self._selected.number)
        return self._threads.with_frame(frame)

    def _look_for_marks(self, line: str) -> None:
        if "optimized out>" in line and not self._backtrace.optimized and is_optimized(line):
            self._note(optimized=True)
        if ("entrancy" in line or line.startswith("===")) and _OF_DEBUG_THREADS.search(line):
            self._note(debug_threads=True)

    def _note(self, **seen: Any) -> None:
        self._backtrace = replace(self._backtrace, **seen)


def _frame(body: str, indent: int) -> Frame | FrameText | None:
    """The frame that begins with this line, None if it is none."""
    return other_formats.read(body) or (FrameText(body, indent) if starts_frame(body) else None)
