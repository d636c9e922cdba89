"""Limits what one file makes this process read and compute, whatever the file contains."""

import time
from collections.abc import Callable, Iterator

from astbtd.lib.quantities import format_size


class BudgetExceeded(Exception):
    """A file would take more bytes or processor time than its budget. No parser may catch this."""


class ReadBudget:
    """The bytes, and the seconds of processor time of the current thread, that the work on one file may take."""

    def __init__(self, size: float, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self.bytes_read = 0
        self._started = time.thread_time()

    @property
    def seconds_used(self) -> float:
        """The processor time of this thread since the budget was made."""
        return time.thread_time() - self._started

    def charge(self, size: int) -> None:
        """Count bytes that were read. Raises BudgetExceeded."""
        self.bytes_read += size
        if self.bytes_read > self._size:
            raise BudgetExceeded(f"it makes astbtd read more than {format_size(int(self._size))}")
        if self.seconds_used > self._seconds:
            raise BudgetExceeded(f"reading it takes more than {self._seconds:g} s of processor time")

    def positional(self, read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
        """Return a function that reads like `read(position, size)` and charges this budget."""

        def charging_read(position: int, size: int) -> bytes:
            data = read(position, size)
            self.charge(len(data))
            return data

        return charging_read

    def sequential(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """Return a function that reads like `read(size)` and charges this budget."""

        def charging_read(size: int) -> bytes:
            data = read(size)
            self.charge(len(data))
            return data

        return charging_read

    def blocks(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield unpacked blocks; charge only the time for them, since empty blocks may follow each other for long."""
        for block in blocks:
            self.charge(0)
            yield block


def unlimited() -> ReadBudget:
    """Return a budget that nothing exceeds."""
    return ReadBudget(float("inf"), float("inf"))
