"""Parses the output of `core show locks`: with DEBUG_THREADS, Asterisk records the name and the holders of each lock.

It names the threads that hold a lock for reading, which the lock itself does not. The lines are those of
ast_str_dump_locks and append_lock_information in Asterisk's main/utils.c.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

_MAX_LINE_LENGTH = 4096
_THREAD = re.compile(r"=== Thread ID: 0x[0-9a-f]+ LWP:(\d{1,10}) \(")
_LOCK = re.compile(
    r"=== ---> (?P<not_held>Waiting for |Tried and failed to get )?Lock #\d+ \([^)]*\): "
    r"(?:MUTEX|RDLOCK|WRLOCK) \d+ \S+ (?P<name>.+) (?P<address>0x[0-9a-f]{1,16}) \("
)


@dataclass(frozen=True)
class LockListing:
    """The names of locks, and the LWPs that hold them, by the address of the lock."""

    names: dict[int, str] = field(default_factory=dict)
    holders: dict[int, tuple[int, ...]] = field(default_factory=dict)


def parse(text: str) -> LockListing:
    """Parse a listing. Lines in another format are ignored, so no text raises an error."""
    names: dict[int, str] = {}
    holders: defaultdict[int, list[int]] = defaultdict(list)
    lwp = None
    for line in text.split("\n"):
        line = line[:_MAX_LINE_LENGTH]
        if line.startswith("=== Thread ID: "):
            thread = _THREAD.match(line)
            lwp = int(thread[1]) if thread else None
        elif lock := _LOCK.match(line):
            address = int(lock["address"], 16)
            names[address] = lock["name"]
            if lwp is not None and not lock["not_held"]:
                holders[address].append(lwp)
    return LockListing(names, {address: tuple(lwps) for address, lwps in holders.items()})
