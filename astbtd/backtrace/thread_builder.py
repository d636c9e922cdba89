"""Keeps the threads of a text apart, and puts together what it says of one thread in several places."""

from collections.abc import Iterator, Sequence

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.markers import ThreadSelected
from astbtd.backtrace.thread_listing import Thread, ThreadListing

_FIRST = 1  # gdb numbers the threads of a core from its notes, where the crashed one is first
_MOST_THREADS = 10_000
_MANY_FRAMES = 10_000  # kept of all threads; of those that come after that, few are
_MOST_UNNUMBERED = 10  # listings without a number whose thread is looked for

_Mark = tuple[int, int | None, str | None]


class ThreadBuilder:
    """The threads in the order of the text. `left_out` counts those for which there was no more room."""

    def __init__(self) -> None:
        self.left_out = 0
        self._all: list[ThreadListing] = []
        self._numbered: dict[int, ThreadListing] = {}
        self._by_lwp: dict[int, ThreadListing] = {}
        self._by_frame: dict[_Mark, ThreadListing] = {}
        self._kept = 0

    def numbered(self, number: int, lwp: int | None = None) -> ThreadListing:
        """The thread of that number in gdb."""
        listing = self._numbered.get(number) or self._new(ThreadListing(number))
        listing.lwp = lwp if lwp is not None else listing.lwp
        return listing

    def with_lwp(self, lwp: int) -> ThreadListing:
        """The thread of that process id, whose number is not told."""
        return self._by_lwp.get(lwp) or self._new(ThreadListing(lwp=lwp))

    def with_frame(self, frame: Frame | None) -> ThreadListing:
        """The thread of which nothing is told but this frame."""
        known = self._by_frame.get(_mark(frame)) if frame else None
        return known or self._new(ThreadListing())

    def add(self, listing: ThreadListing, frames: Sequence[Frame], count: int) -> None:
        """Adds frames to a thread, shortened where there are many already."""
        listing.add(frames, count)
        if listing.number is None and not self.left_out:
            for frame in frames:
                self._by_frame.setdefault(_mark(frame), listing)
        self._kept += len(frames)
        if self._kept > _MANY_FRAMES and listing.number != _FIRST and not listing.crashed:
            listing.shorten()

    def gathered(self, current: ThreadSelected | None) -> tuple[Thread, ...]:
        """All threads, each once; `current` is the one that gdb selected by itself."""
        for listing, other in self._same(current):
            self._unite(listing, other)
        if current and (crashed := self._selected(current)):
            crashed.crashed = True
        return tuple(listing.thread() for listing in self._all if listing.frames or listing.locks)

    def _unite(self, listing: ThreadListing, other: ThreadListing) -> None:
        """Adds `listing` to `other`, which takes the place of the first of them."""
        other.join(listing)
        first, second = sorted([self._all.index(listing), self._all.index(other)])
        self._all[first] = other
        del self._all[second]

    def _new(self, listing: ThreadListing) -> ThreadListing:
        if len(self._all) >= _MOST_THREADS and listing.number != _FIRST:
            self.left_out += 1
            return listing
        self._all.append(listing)
        if listing.number is not None:
            self._numbered[listing.number] = listing
        elif listing.lwp is not None:
            self._by_lwp[listing.lwp] = listing
        return listing

    def _selected(self, current: ThreadSelected) -> ThreadListing | None:
        if current.number is not None:
            return self._numbered.get(current.number)
        return next((listing for listing in self._all if listing.lwp == current.lwp is not None), None)

    def _same(self, current: ThreadSelected | None) -> Iterator[tuple[ThreadListing, ThreadListing]]:
        """Listings that are of another one's thread, and that one."""
        numbers = {listing.lwp: listing for listing in self._numbered.values() if listing.lwp is not None}
        yield from [(listing, numbers[lwp]) for lwp, listing in self._by_lwp.items() if lwp in numbers]
        unnumbered = [listing for listing in self._all if listing.number is None and listing.lwp is None]
        for index, listing in enumerate(unnumbered[:_MOST_UNNUMBERED]):
            other = self._crashed(listing, current) if index == 0 else self._resembling(listing)
            if other and other is not listing:
                yield listing, other

    def _crashed(self, listing: ThreadListing, current: ThreadSelected | None) -> ThreadListing | None:
        """Whose the first frames without a number are: those of the thread that gdb selected by itself."""
        if not current or current.number is None:
            return self._resembling(listing)
        if current.number not in self._numbered:
            listing.number = current.number
            self._numbered[current.number] = listing
        return self._numbered[current.number]

    def _resembling(self, listing: ThreadListing) -> ThreadListing | None:
        if not listing.frames:
            return None
        return next((other for other in self._numbered.values() if other.resembles(listing)), None)


def _mark(frame: Frame) -> _Mark:
    return frame.level, frame.address, frame.function
