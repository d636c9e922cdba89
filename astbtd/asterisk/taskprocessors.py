"""Find taskprocessors that do not get through their tasks, in what `core show taskprocessors` prints.

A taskprocessor is a queue with one thread that carries out its tasks, such as the messages of one SIP call. If the
thread waits for a lock for ever, its tasks stay in the queue, while the console may still answer everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

_HEADER = re.compile(r"^Processor\s+Processed\s+In Queue\s+Max Depth\s+Low water\s+High water", re.MULTILINE)
_NUMBER = re.compile(r"-?\d{1,18}")
_COLUMNS = 5  # of numbers, of which older versions have no more


@dataclass(frozen=True)
class Taskprocessor:
    """How many tasks it has processed since its start, how many wait, and the number above which it is overloaded."""

    processed: int
    waiting: int
    high_water: int

    def is_overloaded(self) -> bool:
        """Return whether more tasks wait than Asterisk itself tolerates."""
        return self.waiting > self.high_water

    def has_stopped(self, before: "Taskprocessor | None") -> bool:
        """Return whether tasks wait and none was processed since `before`, when tasks waited as well."""
        return before is not None and before.waiting > 0 < self.waiting and before.processed == self.processed


def parse(listing: str) -> dict[str, Taskprocessor]:
    """Return the taskprocessors of a listing by name; none if the text is something else.

    The listing has water marks since Asterisk 13.8.
    """
    header = _HEADER.search(listing)
    if header is None:
        return {}
    rows = map(_parse_row, listing[header.end() :].splitlines())
    return dict(row for row in rows if row is not None)


def _parse_row(line: str) -> tuple[str, Taskprocessor] | None:
    """Return the name and the numbers of a taskprocessor; None if the line is something else."""
    words = line.split()
    numbers = list(takewhile(_NUMBER.fullmatch, reversed(words[1:])))[::-1]
    if len(numbers) < _COLUMNS:
        return None
    processed, waiting, _, _, high_water, *_ = map(int, numbers)
    return " ".join(words[: -len(numbers)]), Taskprocessor(processed, waiting, high_water)


@dataclass(frozen=True)
class QueueHistory:
    """The last listing of a process, and the stuck queues with the number of listings in a row in which each was."""

    pid: int | None = None
    last: Mapping[str, Taskprocessor] = field(default_factory=dict)
    stuck: Mapping[str, int] = field(default_factory=dict)

    def add(self, pid: int | None, listing: Mapping[str, Taskprocessor]) -> "QueueHistory":
        """Return the history with one more listing. That of another process begins anew."""
        before = self if pid == self.pid else QueueHistory()
        now_stuck = {
            name: before.stuck.get(name, 0) + 1
            for name, each in listing.items()
            if each.is_overloaded() or each.has_stopped(before.last.get(name))
        }
        return QueueHistory(pid, listing, now_stuck)

    def longest(self) -> tuple[str, int]:
        """Return the queue that has been stuck for the most listings, and their number; ("", 0) without one."""
        return max(self.stuck.items(), key=lambda item: item[1], default=("", 0))
