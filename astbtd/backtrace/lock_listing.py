"""Parses the output of `core show locks`: with DEBUG_THREADS, Asterisk records the name and the holders of each lock.

It names the threads that hold a lock for reading, which the lock itself does not. The lines are those of
append_lock_information in Asterisk's main/utils.c: in one line (`... <lock addr> (times locked)`), and, since 18.20,
20.5 and 22, in two, of which the second has the times. locks.txt, read from a core, has the form of the latter.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

_MAX_LINE_LENGTH = 4096
_THREAD = re.compile(r"=== Thread ID: 0x[0-9a-f]+ LWP:(\d{1,10}) \(")
_LOCK = re.compile(
    r"=== ---> (?P<prefix>Waiting for |Tried and failed to get |Suspended )?Lock #\d+ \((?P<file>[^)]*)\): "
    r"(?P<mode>MUTEX|RDLOCK|WRLOCK) (?P<line>\d{1,9}) (?P<function>\S+) (?P<name>.+) (?P<address>0x[0-9a-f]{1,16})"
    r"(?: \(|\s*$)"
)
_WAITING = "Waiting for "


class LockMode(StrEnum):
    """How a lock is, or would be, locked."""

    MUTEX = "MUTEX"
    READ = "RDLOCK"
    WRITE = "WRLOCK"


@dataclass(frozen=True)
class ListedLock:
    """One entry: a thread holds a lock, or waits for it. `file`, `line` and `function` are where it is locked."""

    lwp: int
    address: int
    name: str
    mode: LockMode
    file: str
    line: int
    function: str


@dataclass(frozen=True)
class LockListing:
    """The names of locks by address, and who holds them and who waits for them."""

    names: dict[int, str] = field(default_factory=dict)
    held: tuple[ListedLock, ...] = ()
    awaited: tuple[ListedLock, ...] = ()

    @cached_property
    def holders(self) -> dict[int, tuple[int, ...]]:
        """The LWPs of the threads that hold a lock, by the address of the lock."""
        return _lwps_by_address(self.held)

    @cached_property
    def awaited_by_lwp(self) -> dict[int, ListedLock]:
        """The lock that a thread waits for, by the LWP of the thread."""
        return {lock.lwp: lock for lock in self.awaited}

    def is_read_held(self, address: int) -> bool:
        """Return whether readers hold a lock."""
        return self._modes.get(address) == {LockMode.READ}

    def holding(self, lwp: int, address: int) -> ListedLock | None:
        """Return the first entry with which a thread holds a lock, which says where it was locked."""
        return self._by_holder.get((lwp, address))

    @cached_property
    def _modes(self) -> dict[int, set[LockMode]]:
        modes: defaultdict[int, set[LockMode]] = defaultdict(set)
        for lock in self.held:
            modes[lock.address].add(lock.mode)
        return modes

    @cached_property
    def _by_holder(self) -> dict[tuple[int, int], ListedLock]:
        return {(lock.lwp, lock.address): lock for lock in reversed(self.held)}


def parse(text: str) -> LockListing:
    """Parse a listing. Lines in another format are ignored, so no text raises an error."""
    names: dict[int, str] = {}
    held, awaited = [], []
    lwp = None
    for line in text.split("\n"):
        line = line[:_MAX_LINE_LENGTH].rstrip("\r")
        if line.startswith("=== Thread ID: "):
            thread = _THREAD.match(line)
            lwp = int(thread[1]) if thread else None
        elif found := _LOCK.match(line):
            names[int(found["address"], 16)] = found["name"]
            if lwp is None:
                continue
            lock = _listed_lock(lwp, found)
            if found["prefix"] is None:
                held.append(lock)
            elif found["prefix"] == _WAITING:
                awaited.append(lock)
    return LockListing(names, tuple(held), tuple(awaited))


def _listed_lock(lwp: int, found: re.Match[str]) -> ListedLock:
    return ListedLock(
        lwp=lwp,
        address=int(found["address"], 16),
        name=found["name"],
        mode=LockMode(found["mode"]),
        file=found["file"],
        line=int(found["line"]),
        function=found["function"],
    )


def _lwps_by_address(locks: Iterable[ListedLock]) -> dict[int, tuple[int, ...]]:
    lwps: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for lock in locks:
        lwps[lock.address][lock.lwp] = None
    return {address: tuple(each) for address, each in lwps.items()}
