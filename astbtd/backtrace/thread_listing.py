"""Gathers what a text says of one thread, in one or several listings of its frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.markers import LockListingLine

_FEW_FRAMES = 8  # of a thread that did not crash, in a text that is too long to keep them all


@dataclass(frozen=True)
class Thread:
    """A thread and its frames, innermost first. `number` is gdb's; `stopped` is why gdb could not go on unwinding.

    `count` is how many frames the text has; of a very long listing only the innermost are in `frames`. `crashed`: the
    text says that this is the one. `asserted`: the program printed these frames itself, because an assertion failed in
    the function of that name, which is empty where the log does not tell. `locks`: what `core show locks` lists for it.
    """

    number: int | None
    lwp: int | None
    frames: tuple[Frame, ...]
    stopped: str | None = None
    count: int = 0
    crashed: bool = False
    asserted: str | None = None
    locks: tuple[LockListingLine, ...] = ()

    @property
    def text(self) -> str:
        """The thread's `bt`, one frame a line."""
        return "\n".join(frame.text for frame in self.frames)


@dataclass(eq=False)
class ThreadListing:
    """A thread as far as it is read: the longest listing counts, the marks of all are kept."""

    number: int | None = None
    lwp: int | None = None
    stopped: str | None = None
    frames: Sequence[Frame] = ()
    count: int = 0
    crashed: bool = False
    asserted: str | None = None
    locks: list[LockListingLine] = field(default_factory=list)
    _optimized: set[tuple[int, str | None]] = field(default_factory=set)

    def add(self, frames: Sequence[Frame], count: int) -> None:
        """Adds one listing of the frames, of which the text has `count`."""
        self._optimized.update((frame.level, frame.function) for frame in frames if frame.optimized)
        if count > self.count:
            self.frames, self.count = frames, count

    def join(self, other: "ThreadListing") -> None:
        """Adds what another part of the text says of the same thread."""
        self.add(other.frames, other.count)
        self._optimized |= other._optimized
        self.lwp = self.lwp if self.lwp is not None else other.lwp
        self.stopped = self.stopped or other.stopped
        self.crashed = self.crashed or other.crashed
        self.asserted = self.asserted if self.asserted is not None else other.asserted
        self.locks += other.locks

    def forget_frames(self) -> None:
        """Makes room for frames that say better what the thread was doing."""
        self.frames, self.count = (), 0

    def shorten(self) -> None:
        """Keeps of the frames what matters of a thread that did not crash."""
        self.frames = [replace(frame, text="", arguments="") for frame in self.frames[:_FEW_FRAMES]]

    def resembles(self, other: "ThreadListing") -> bool:
        """Whether the innermost frames are those of `other`, as far as it has them."""
        innermost = [_identity(frame) for frame in other.frames[:5]]
        return [_identity(frame) for frame in self.frames[: len(innermost)]] == innermost

    def thread(self) -> Thread:
        """The thread that was read."""
        frames = tuple(
            replace(frame, optimized=True) if (frame.level, frame.function) in self._optimized else frame
            for frame in self.frames
        )
        locks = tuple(self.locks)
        return Thread(self.number, self.lwp, frames, self.stopped, self.count, self.crashed, self.asserted, locks)


def _identity(frame: Frame) -> tuple[int, int | None, str | None]:
    return frame.level, frame.address, frame.function
