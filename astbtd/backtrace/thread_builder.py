"""Builds the threads of a text: collects what it says about each thread, in one place or in several."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.markers import LockListingLine, ThreadSelected

FIRST_THREAD = 1
"""gdb numbers the threads of a core in the order of its notes; the kernel writes the crashed thread first."""

_MAX_THREADS = 10_000
_FULL_DETAIL_FRAMES = 10_000  # of all threads; threads that come later are shortened
_SHORTENED_FRAMES = 8  # frames kept of a thread that is shortened
_COMPARED_FRAMES = 5  # two listings that agree in so many innermost frames are of one thread
_MAX_ANONYMOUS = 10  # threads with neither number nor LWP that are compared with the numbered ones

_FrameKey = tuple[int, int | None, str | None]


@dataclass(frozen=True)
class Thread:
    """A thread and its frames, innermost first. `number` is gdb's, `unwind_error` is why gdb could not unwind further.

    `frame_count` is how many frames the text has. `frames` may have fewer: the innermost ones. `crashed`: the text says
    that this thread crashed. `assertion_function`: the program printed these frames itself, because an assertion failed
    in this function; empty if the log does not name the function. `locks` are the lines of `core show locks`.
    """

    number: int | None
    lwp: int | None
    frames: tuple[Frame, ...]
    unwind_error: str | None = None
    frame_count: int = 0
    crashed: bool = False
    assertion_function: str | None = None
    locks: tuple[LockListingLine, ...] = ()

    @property
    def text(self) -> str:
        """The thread's `bt`, one frame per line."""
        return "\n".join(frame.text for frame in self.frames)


@dataclass(eq=False)
class ThreadBuilder:
    """One thread while the text is parsed. Of several listings of its frames, the longest is kept."""

    number: int | None = None
    lwp: int | None = None
    unwind_error: str | None = None
    frames: Sequence[Frame] = ()
    frame_count: int = 0
    crashed: bool = False
    assertion_function: str | None = None
    locks: list[LockListingLine] = field(default_factory=list)
    _optimized: set[tuple[int, str | None]] = field(default_factory=set)  # in any of the listings

    @property
    def is_anonymous(self) -> bool:
        """True if the text has neither the number nor the LWP."""
        return self.number is None and self.lwp is None

    def add_listing(self, frames: Sequence[Frame], frame_count: int) -> None:
        """Add one listing of the frames; the text has `frame_count` of them."""
        self._optimized.update((frame.level, frame.function) for frame in frames if frame.optimized)
        if frame_count > self.frame_count:
            self.frames = frames
            self.frame_count = frame_count

    def merge(self, other: "ThreadBuilder") -> None:
        """Add what another part of the text says about the same thread. What is known already is kept."""
        self.add_listing(other.frames, other.frame_count)
        self._optimized |= other._optimized
        self.unwind_error = self.unwind_error or other.unwind_error
        self.crashed = self.crashed or other.crashed
        self.locks += other.locks
        if self.lwp is None:
            self.lwp = other.lwp
        if self.assertion_function is None:
            self.assertion_function = other.assertion_function

    def discard_frames(self) -> None:
        """Drop the frames. Those that follow describe better what the thread was doing."""
        self.frames = ()
        self.frame_count = 0

    def shorten(self) -> None:
        """Keep only what matters of a thread that did not crash: the innermost frames, without text and arguments."""
        self.frames = [replace(frame, text="", arguments="") for frame in self.frames[:_SHORTENED_FRAMES]]

    def resembles(self, other: "ThreadBuilder") -> bool:
        """Return True if the innermost frames are those of `other`, as far as `other` has them."""
        innermost = [_key(frame) for frame in other.frames[:_COMPARED_FRAMES]]
        return [_key(frame) for frame in self.frames[: len(innermost)]] == innermost

    def to_thread(self) -> Thread:
        """Return the finished thread."""
        return Thread(
            number=self.number,
            lwp=self.lwp,
            frames=tuple(map(self._with_optimized, self.frames)),
            unwind_error=self.unwind_error,
            frame_count=self.frame_count,
            crashed=self.crashed,
            assertion_function=self.assertion_function,
            locks=tuple(self.locks),
        )

    def _with_optimized(self, frame: Frame) -> Frame:
        """Mark a frame as optimized if it is so in any listing: `bt` prints no local variables, `bt full` does."""
        if (frame.level, frame.function) in self._optimized:
            return replace(frame, optimized=True)
        return frame


class ThreadTable:
    """The threads of a text, in its order. `omitted` counts those that exceed the limit."""

    def __init__(self) -> None:
        self.omitted = 0
        self._all: list[ThreadBuilder] = []
        self._by_number: dict[int, ThreadBuilder] = {}
        self._by_lwp: dict[int, ThreadBuilder] = {}  # threads without a number
        self._by_frame: dict[_FrameKey, ThreadBuilder] = {}  # threads without a number
        self._frame_count = 0

    def with_number(self, number: int, lwp: int | None = None) -> ThreadBuilder:
        """Return the thread with this number in gdb."""
        thread = self._by_number.get(number) or self._add(ThreadBuilder(number))
        if lwp is not None:
            thread.lwp = lwp
        return thread

    def with_lwp(self, lwp: int) -> ThreadBuilder:
        """Return the thread with this LWP, whose number the text does not have."""
        return self._by_lwp.get(lwp) or self._add(ThreadBuilder(lwp=lwp))

    def with_frame(self, frame: Frame | None) -> ThreadBuilder:
        """Return the thread that has this frame. The text has neither its number nor its LWP."""
        known = self._by_frame.get(_key(frame)) if frame else None
        return known or self._add(ThreadBuilder())

    def add_listing(self, thread: ThreadBuilder, frames: Sequence[Frame], frame_count: int) -> None:
        """Add frames to a thread. Shorten it if there are many frames already."""
        thread.add_listing(frames, frame_count)
        if thread.number is None and not self.omitted:
            for frame in frames:
                self._by_frame.setdefault(_key(frame), thread)
        self._frame_count += len(frames)
        may_have_crashed = thread.crashed or thread.number == FIRST_THREAD
        if self._frame_count > _FULL_DETAIL_FRAMES and not may_have_crashed:
            thread.shorten()

    def finish(self, selected: ThreadSelected | None) -> tuple[Thread, ...]:
        """Return all threads, each once. `selected` is the one that gdb selected by itself: it crashed."""
        self._merge_same_lwp()
        self._merge_anonymous(selected)
        crashed = self._find(selected) if selected else None
        if crashed:
            crashed.crashed = True
        return tuple(thread.to_thread() for thread in self._all if thread.frames or thread.locks)

    def _add(self, thread: ThreadBuilder) -> ThreadBuilder:
        if len(self._all) >= _MAX_THREADS and thread.number != FIRST_THREAD:
            self.omitted += 1
            return thread
        self._all.append(thread)
        if thread.number is not None:
            self._by_number[thread.number] = thread
        elif thread.lwp is not None:
            self._by_lwp[thread.lwp] = thread
        return thread

    def _find(self, selected: ThreadSelected) -> ThreadBuilder | None:
        if selected.number is not None:
            return self._by_number.get(selected.number)
        if selected.lwp is None:
            return None
        for thread in self._all:
            if thread.lwp == selected.lwp:
                return thread
        return None

    def _merge_same_lwp(self) -> None:
        """Merge what one part of the text lists by number, and another part by LWP only."""
        numbered = {thread.lwp: thread for thread in self._by_number.values()}
        for lwp, thread in self._by_lwp.items():
            if lwp in numbered:
                self._merge(thread, numbered[lwp])

    def _merge_anonymous(self, selected: ThreadSelected | None) -> None:
        """Merge frames that have no heading with those of the thread that they belong to."""
        anonymous = [thread for thread in self._all if thread.is_anonymous]
        for thread in anonymous[:_MAX_ANONYMOUS]:
            owner = self._find_owner(thread, selected)
            selected = None  # gdb's own selection applies to the first frames without a heading only
            if owner and owner is not thread:
                self._merge(thread, owner)

    def _find_owner(self, thread: ThreadBuilder, selected: ThreadSelected | None) -> ThreadBuilder | None:
        if selected and selected.number is not None:
            return self._take_number(thread, selected.number)
        return self._find_similar(thread)

    def _take_number(self, thread: ThreadBuilder, number: int) -> ThreadBuilder:
        """Return the thread with this number. If there is none, give the number to `thread`."""
        if number not in self._by_number:
            thread.number = number
            self._by_number[number] = thread
        return self._by_number[number]

    def _find_similar(self, thread: ThreadBuilder) -> ThreadBuilder | None:
        if not thread.frames:
            return None
        for other in self._by_number.values():
            if other.resembles(thread):
                return other
        return None

    def _merge(self, thread: ThreadBuilder, owner: ThreadBuilder) -> None:
        """Merge `thread` into `owner`, which takes the place of whichever comes first in the text."""
        owner.merge(thread)
        first, second = sorted([self._all.index(thread), self._all.index(owner)])
        self._all[first] = owner
        del self._all[second]


def _key(frame: Frame) -> _FrameKey:
    """Return what makes a frame of one listing the same as one of another listing."""
    return frame.level, frame.address, frame.function
