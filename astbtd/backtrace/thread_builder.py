"""Builds the threads of a text: collects what it says about each thread, in one place or in several."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.marker_types import LockListingLine, ThreadSelected, ToolReport
from astbtd.backtrace.parsed_backtrace import Thread

FIRST_THREAD = 1
"""gdb numbers the threads of a core in the order of its notes; the kernel writes the crashed thread first."""

_MAX_THREADS = 10_000
_FULL_DETAIL_FRAMES = 10_000  # of all threads; threads that come later are shortened
_SHORTENED_FRAMES = 8  # frames kept of a thread that is shortened
_COMPARED_FRAMES = 5  # two listings that agree in so many innermost frames are of one thread
_MAX_SINGLE_FRAMES = 20  # that somebody printed one by one
_MAX_ANONYMOUS = 10  # threads with neither number nor LWP that are compared with the numbered ones

_FrameKey = tuple[int, int | str]


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
    report: ToolReport | None = None
    is_single_frames: bool = False
    """True if each frame was printed alone. Frames of other levels can be added then."""
    _optimized: set[tuple[int, str | None]] = field(default_factory=set)  # in any of the listings

    @property
    def is_anonymous(self) -> bool:
        """True if the text has neither the number nor the LWP."""
        return self.number is None and self.lwp is None

    def add_listing(self, frames: Sequence[Frame], frame_count: int) -> None:
        """Add one listing of the frames; the text has `frame_count` of them.

        Of two listings of equal length, the later one is kept if it names more functions: symbols were loaded since.
        """
        self._optimized.update((frame.level, frame.function) for frame in frames if frame.optimized)
        if self.is_single_frames and self._has_other_levels(frames):
            self._insert(frames)
            return
        names_more = _count_named(frames) > _count_named(self.frames)
        if frame_count > self.frame_count or (frame_count == self.frame_count and names_more):
            self.is_single_frames = frame_count == 1
            self.frames = frames
            self.frame_count = frame_count

    def can_take(self, frames: Sequence[Frame]) -> bool:
        """Return True if the frames of this thread were printed one by one, and `frames` are more, or all of them."""
        if not self.is_anonymous or not self.is_single_frames:
            return False
        listed = {frame.level: frame for frame in frames}
        common = [frame for frame in self.frames if frame.level in listed]
        if not all(is_same_frame(frame, listed[frame.level]) for frame in common):
            return False
        return len(common) == len(self.frames) or self._has_other_levels(frames)

    def _has_other_levels(self, frames: Sequence[Frame]) -> bool:
        known = {frame.level for frame in self.frames}
        return len(frames) <= _MAX_SINGLE_FRAMES and known.isdisjoint(frame.level for frame in frames)

    def _insert(self, frames: Sequence[Frame]) -> None:
        """Insert frames that were printed alone, by `frame 1` or `up`, in the order of the levels."""
        self.frames = sorted([*self.frames, *frames], key=lambda frame: frame.level)
        self.frame_count = len(self.frames)

    def merge(self, other: "ThreadBuilder") -> None:
        """Add what another part of the text says about the same thread. What is known already is kept."""
        self.add_listing(other.frames, other.frame_count)
        self._optimized |= other._optimized
        self.unwind_error = self.unwind_error or other.unwind_error
        self.crashed = self.crashed or other.crashed
        self.locks += other.locks
        self.report = self.report or other.report
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
        innermost = other.frames[:_COMPARED_FRAMES]
        if len(self.frames) < len(innermost):
            return False
        return all(is_same_frame(*pair) for pair in zip(self.frames, innermost, strict=False))

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
            report=self.report,
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

    def with_frames(self, frames: Sequence[Frame]) -> ThreadBuilder:
        """Return the thread that has the first of these frames. The text has neither its number nor its LWP."""
        known = self._find_by_frames(frames) if frames else None
        return known or self._add(ThreadBuilder())

    def _find_by_frames(self, frames: Sequence[Frame]) -> ThreadBuilder | None:
        """Return the thread that has the first frame, or to which frames that were printed alone belong."""
        frame = frames[0]
        for key in _keys(frame):
            known = self._by_frame.get(key)
            if known and any(is_same_frame(frame, each) for each in known.frames if each.level == frame.level):
                return known
        last = self._all[-1] if self._all else None
        return last if last and last.can_take(frames) else None

    def add_listing(self, thread: ThreadBuilder, frames: Sequence[Frame], frame_count: int) -> None:
        """Add frames to a thread. Shorten it if there are many frames already."""
        thread.add_listing(frames, frame_count)
        if thread.number is None and not self.omitted:
            for frame in frames:
                for key in _keys(frame):
                    self._by_frame.setdefault(key, thread)
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
        first = self._by_number.get(FIRST_THREAD)
        candidates = [first] if first else []
        for other in [*candidates, *self._by_number.values()]:
            if other is not thread and other.resembles(thread):
                return other
        return None

    def _merge(self, thread: ThreadBuilder, owner: ThreadBuilder) -> None:
        """Merge `thread` into `owner`, which takes the place of whichever comes first in the text."""
        owner.merge(thread)
        first, second = sorted([self._all.index(thread), self._all.index(owner)])
        self._all[first] = owner
        del self._all[second]


def is_same_frame(one: Frame, other: Frame) -> bool:
    """Return True if two listings may show the same frame.

    gdb prints no address at the start of a source line, and no function before symbols are loaded.
    """
    if one.level != other.level:
        return False
    has_same_name = one.function == other.function
    if one.address is not None and other.address is not None:
        return one.address == other.address and (has_same_name or one.function is None or other.function is None)
    return one.function is not None and has_same_name


def _keys(frame: Frame) -> list[_FrameKey]:
    keys: list[_FrameKey] = []
    if frame.address is not None:
        keys.append((frame.level, frame.address))
    if frame.function is not None:
        keys.append((frame.level, frame.function))
    return keys


def _count_named(frames: Sequence[Frame]) -> int:
    return sum(frame.function is not None for frame in frames)
