"""Fault injection: the N-th call by which a program changes a file kills the program, or fails.

Nothing on disk changes between two such calls. A program that is killed in place of each call, and after half of each
write, has therefore been killed in every possible state of the disk.
"""

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

LIBRARY = "faults.so"
"""The preloaded library that tests/programs builds from faults.c, which documents it."""

STAGING = "*/incoming/*/*"
"""Files below the directories in which crashes are staged; a test can exclude them if another one covers them."""

OBJECTS = "*/objects*"
"""Files of kept objects: there are eight of them, all written in the same way."""

_PARALLEL_ATTEMPTS = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Fault:
    """The `at`-th change fails. By default the program is killed there; if `torn`, after half of a write.

    With an `error`, an errno, the call fails with it; all later calls also fail as long as the file `lasting` exists.
    """

    at: int
    torn: bool = False
    error: int | None = None
    lasting: Path | None = None

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error] if self.error else 'killed'} at change {self.at}"


@dataclass(frozen=True)
class FaultInjector:
    """The library in `programs`. It counts the changes below `directories` and writes them to the file `log`.

    Changes of files that match the pattern `without` are not counted.
    """

    programs: Path
    directories: Sequence[Path]
    log: Path
    without: str = ""

    def environment(self, fault: Fault) -> dict[str, str]:
        """Return the environment of a program with this fault."""
        how = str(fault.error) if fault.error else "tear" if fault.torn else "kill"
        return {
            "LD_PRELOAD": str(self.programs / LIBRARY),
            "FAULTS_BELOW": ":".join(map(str, self.directories)),
            "FAULTS_EXCEPT": self.without,
            "FAULTS_LOG": str(self.log),
            "FAULTS_AT": str(fault.at),
            "FAULTS_HOW": how,
            "FAULTS_WHILE": str(fault.lasting or "/nonexistent"),
        }

    def calls(self) -> list[str]:
        """Return the changes so far: the name of each call and its path."""
        return self.log.read_text().splitlines() if self.log.exists() else []


def at_every_change(attempt: Callable[[int], bool], step: int = 1) -> int:
    """Call `attempt` with 1, 1 + step, ..., several at once, until one returns False: there was no such change.

    Return how many attempts had a fault. If ASTBTD_EVERY_FAULT is set, the step is 1.
    """
    step = 1 if "ASTBTD_EVERY_FAULT" in os.environ else step
    with ThreadPoolExecutor(_PARALLEL_ATTEMPTS) as attempts:
        for start in count(0, _PARALLEL_ATTEMPTS):
            indexes = range(start, start + _PARALLEL_ATTEMPTS)
            had_fault = list(attempts.map(lambda index: attempt(1 + index * step), indexes))
            if not all(had_fault):
                return start + had_fault.index(False)
    raise AssertionError("unreachable: count() does not end")
