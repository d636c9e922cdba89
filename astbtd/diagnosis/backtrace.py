"""Reads what gdb printed about a core into threads and frames.

One text may hold the header, `bt`, `bt full` and `thread apply all bt`, one after another: each thread comes out once.
A line that starts a frame or a thread stands at the line's beginning, where text from the crashed process's memory
cannot be, since gdb writes the newlines of a string as escapes. Only a newline ends a line: memory may hold any other
separator.
"""

import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from astbtd.diagnosis.frame import LONGEST_LINE, Frame, FrameText, is_optimized, starts_frame

__all__ = ["Backtrace", "Frame", "Thread", "parse"]

_MOST_FRAMES = 250_000  # an 8 MB stack of nothing but recursion is about 174,000

_LINE = re.compile(r"[^\n]+")
_PROMPT = re.compile(r"(?:\(gdb\)[ \t]*+){1,100}")
_THREAD = re.compile(r"Thread (?:\d{1,9}\.)?(\d{1,9}) \((.{0,300})")
_LWP = re.compile(r"\b(?:LWP|process) (\d{1,10})")
_SELECTED = re.compile(r"\[(Current thread is|Switching to thread) (?:\d{1,9}\.)?(\d{1,9})\b")
_SIGNAL = re.compile(
    r'(?:Program|Thread [\d.]{1,20} "[^"]{0,64}") (?:terminated with|received) signal (SIG[A-Z0-9]{2,10}|\d{1,2})\b'
)
_STOPPED = re.compile(r"Backtrace stopped: (.{1,200})")
_HEADINGS = ("Thread ", "[", "Backtrace stopped: ", "Program ")


@dataclass(frozen=True)
class Thread:
    """A thread and its frames, innermost first. `number` is gdb's; `stopped` is why gdb could not go on unwinding."""

    number: int | None
    lwp: int | None
    frames: tuple[Frame, ...]
    stopped: str | None = None

    @property
    def text(self) -> str:
        """The thread's `bt`, one frame a line."""
        return "\n".join(frame.text for frame in self.frames)


@dataclass(frozen=True)
class Backtrace:
    """All threads of a text, in its order. `signal` is a name such as SIGSEGV.

    `current` is the number of the thread that gdb had selected when it opened the core: the one that crashed.
    """

    threads: tuple[Thread, ...] = ()
    signal: str | None = None
    current: int | None = None

    def thread(self, number: int | None) -> Thread | None:
        """The thread of that number."""
        return next((thread for thread in self.threads if thread.number == number), None)


def parse(text: str) -> Backtrace:
    """The threads in `text`, whatever it is: junk gives fewer frames, never an exception."""
    reader = _Reader()
    for line in _lines(text):
        if reader.full:
            break
        reader.line(line)
    return reader.backtrace()


def _lines(text: str) -> Iterator[str]:
    for match in _LINE.finditer(text):
        start, end = match.span()
        yield text[start : min(end, start + LONGEST_LINE)].rstrip("\r")


@dataclass
class _Listing:
    """What the text says of one thread, in one or several listings: the longest counts, marks of all are kept."""

    lwp: int | None = None
    stopped: str | None = None
    frames: list[Frame] = field(default_factory=list)
    optimized: set[tuple[int, str | None]] = field(default_factory=set)

    def add(self, frames: list[Frame]) -> None:
        self.optimized.update((frame.level, frame.function) for frame in frames if frame.optimized)
        if len(frames) > len(self.frames):
            self.frames = frames

    def join(self, other: "_Listing") -> None:
        self.add(other.frames)
        self.optimized |= other.optimized
        self.lwp = self.lwp if self.lwp is not None else other.lwp
        self.stopped = self.stopped or other.stopped

    def thread(self, number: int | None) -> Thread:
        frames = (
            replace(frame, optimized=True) if (frame.level, frame.function) in self.optimized else frame
            for frame in self.frames
        )
        return Thread(number, self.lwp, tuple(frames), self.stopped)


class _Reader:
    """Takes the lines one by one. A thread's number stands before its frames; frames without one are the selected's."""

    def __init__(self) -> None:
        self._listings: dict[int | None, _Listing] = {}
        self._signal: str | None = None
        self._current: int | None = None
        self._selected: int | None = None
        self._number: int | None = None
        self._prompted = False
        self._frames: list[Frame] = []
        self._frame: FrameText | None = None
        self._optimized = False
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count >= _MOST_FRAMES

    def line(self, line: str) -> None:
        if line.startswith("(gdb)"):
            self._end_frame()
            self._prompted = True
            line = _PROMPT.sub("", line, count=1)
        if starts_frame(line):
            self._end_frame()
            self._frame = FrameText(line)
        elif line.startswith(_HEADINGS) and self._heading(line):
            pass
        elif self._frame and self._frame.continues(line):
            self._frame.add(line)
        elif line.startswith((" ", "\t")):
            self._optimized = self._optimized or is_optimized(line)

    def backtrace(self) -> Backtrace:
        self._end_listing()
        self._assign_unnumbered()
        threads = tuple(listing.thread(number) for number, listing in self._listings.items() if listing.frames)
        return Backtrace(threads, self._signal, self._current)

    def _heading(self, line: str) -> bool:
        """Takes a line that stands outside the frames; False if `line` is none that matters."""
        if match := _THREAD.match(line):
            self._thread(int(match[1]), match[2])
        elif match := _SELECTED.match(line):
            self._end_listing()
            self._select(match[1], int(match[2]))
        elif match := _STOPPED.match(line):
            self._end_frame()
            self._listing().stopped = match[1].strip()
        elif match := _SIGNAL.match(line):
            self._signal = _signal_name(match[1]) if self._in_header(self._signal) else self._signal
        return match is not None

    def _thread(self, number: int, description: str) -> None:
        self._end_listing()
        self._number = number
        lwp = _LWP.search(description)
        self._listing().lwp = int(lwp[1]) if lwp else None

    def _select(self, how: str, number: int) -> None:
        if how == "Switching to thread":
            self._selected = number
        elif self._in_header(self._current):
            self._current = number

    def _in_header(self, known: object) -> bool:
        """Whether a heading still counts: the header's last one does, as the command line printed before may hold any
        line; what somebody asked at a prompt later does not.
        """
        return known is None or not self._prompted

    def _listing(self) -> _Listing:
        return self._listings.setdefault(self._number if self._number is not None else self._selected, _Listing())

    def _end_frame(self) -> None:
        if self._frame:
            frame = self._frame.frame()
            if self._frames and frame.level <= self._frames[-1].level:
                self._end_frames()
            self._frames.append(replace(frame, optimized=True) if self._optimized else frame)
            self._count += 1
        self._frame, self._optimized = None, False

    def _end_frames(self) -> None:
        """Ends a listing; what follows without a thread's heading is the selected thread again."""
        if self._frames:
            self._listing().add(self._frames)
            self._frames, self._number = [], None

    def _end_listing(self) -> None:
        self._end_frame()
        self._end_frames()
        self._number = None

    def _assign_unnumbered(self) -> None:
        """Gives the frames listed without a number to the thread they are of, if the text says which."""
        unnumbered = self._listings.get(None)
        if not unnumbered:
            return
        number = self._current if self._current is not None else self._same_thread(unnumbered)
        if number is None:
            return
        self._current = number
        listings, self._listings = self._listings, {}
        for key, listing in listings.items():
            self._listings.setdefault(number if key is None else key, _Listing()).join(listing)

    def _same_thread(self, unnumbered: _Listing) -> int | None:
        innermost = _identity(unnumbered)
        for number, listing in self._listings.items():
            if number is not None and innermost and _identity(listing) == innermost:
                return number
        return None


def _identity(listing: _Listing) -> tuple[tuple[int, int | None, str | None], ...]:
    return tuple((frame.level, frame.address, frame.function) for frame in listing.frames[:5])


def _signal_name(word: str) -> str | None:
    if not word.isdecimal():
        return word
    with suppress(ValueError):
        return signal.Signals(int(word)).name
    return None
