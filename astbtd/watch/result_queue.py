"""Pass results from the threads of the remote scanners to the thread that supervises them.

A module of its own, since remote_scanner.py imports watchdog, which is loaded only where it is needed.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from astbtd.claims.finder import Capacity, FinderResult
from astbtd.model.crash import DiscoveredBy


class ResultQueue:
    """A queue whose descriptor is readable when there are results, or when `wake` was called."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[FinderResult] = SimpleQueue()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._eventfd)  # a thread that hangs may still use it after the last `drain`

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._eventfd

    def put(self, result: FinderResult) -> None:
        """Add a result, from any thread."""
        self._queue.put(result)
        self.wake()

    def wake(self) -> None:
        """Wake that thread without a result: the state of a scanner has changed."""
        os.eventfd_write(self._eventfd, 1)

    def drain(self) -> Iterator[FinderResult]:
        """Yield all results, without waiting for more."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        while True:
            try:
                result = self._queue.get_nowait()
            except Empty:
                return
            yield result

    def __len__(self) -> int:
        return self._queue.qsize()


@dataclass(frozen=True)
class RemoteCapacity:
    """The capacity of the worker's queue as a remote scanner sees it: less the results that are on their way there."""

    capacity: Capacity
    results: ResultQueue

    def has_room(self, found: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:
        """Return whether one more core may be claimed now."""
        return self.capacity.has_room(found, in_transit + len(self.results), foreign=foreign)
