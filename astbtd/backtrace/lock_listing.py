"""Reads what `core show locks` prints: with DEBUG_THREADS, Asterisk knows its locks' names and who reads them.

The lines are those of ast_str_dump_locks and append_lock_information in Asterisk's main/utils.c.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

_LONGEST_LINE = 4096
_THREAD = re.compile(r"=== Thread ID: 0x[0-9a-f]+ LWP:(\d{1,10}) \(")
_LOCK = re.compile(
    r"=== ---> (?P<not_held>Waiting for |Tried and failed to get )?Lock #\d+ \([^)]*\): "
    r"(?:MUTEX|RDLOCK|WRLOCK) \d+ \S+ (?P<name>.+) (?P<address>0x[0-9a-f]{1,16}) \("
)


@dataclass(frozen=True)
class LockListing:
    """The names of locks by address, and the LWPs that hold each."""

    names: dict[int, str] = field(default_factory=dict)
    holders: dict[int, tuple[int, ...]] = field(default_factory=dict)


def parse(text: str) -> LockListing:
    """What the listing tells, whatever it is: junk tells nothing."""
    names: dict[int, str] = {}
    holders: defaultdict[int, list[int]] = defaultdict(list)
    lwp = None
    for line in text.split("\n"):
        line = line[:_LONGEST_LINE]
        if line.startswith("=== Thread ID: "):
            thread = _THREAD.match(line)
            lwp = int(thread[1]) if thread else None
        elif lock := _LOCK.match(line):
            address = int(lock["address"], 16)
            names[address] = lock["name"]
            if lwp is not None and not lock["not_held"]:
                holders[address].append(lwp)
    return LockListing(names, {address: tuple(lwps) for address, lwps in holders.items()})
