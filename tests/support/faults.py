"""Lets the N-th call by which a program changes a file go wrong: it is killed there, or the call fails.

Between two such calls nothing on disk changes. So whoever is killed in place of each of them, and after half of each
write, is killed everywhere.
"""

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

LIBRARY = "faults.so"
"""What tests/programs builds of faults.c, which says more."""

STAGING = "*/incoming/*/*"
"""Where crashes are made, which a scene may leave out that differs from another one elsewhere."""

_AT_ONCE = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the `at`-th change: by default the program is killed, a write being `torn` if that is wanted.

    With an `error`, an errno, the call fails in that way; and, as long as the file `lasting` is there, all later ones.
    """

    at: int
    torn: bool = False
    error: int | None = None
    lasting: Path | None = None

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error] if self.error else 'killed'} at change {self.at}"


@dataclass(frozen=True)
class Faults:
    """The library in `programs`, which counts what changes below `directories`, and notes it in the file `log`."""

    programs: Path
    directories: Sequence[Path]
    log: Path
    without: str = ""

    def environment(self, fault: Fault) -> dict[str, str]:
        """The environment of a program in which this goes wrong."""
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
        """What was counted: the name of each call and its path."""
        return self.log.read_text().splitlines() if self.log.exists() else []


def at_every_change(attempt: Callable[[int], bool], step: int = 1) -> int:
    """Calls `attempt` with 1, 1 + step, ..., several at once, until one says that nothing was left to go wrong.

    Returns how often something did. Where ASTBTD_EVERY_FAULT is set, no step is wider than 1.
    """
    step = 1 if "ASTBTD_EVERY_FAULT" in os.environ else step
    with ThreadPoolExecutor(_AT_ONCE) as attempts:
        for start in count(0, _AT_ONCE):
            struck = list(attempts.map(lambda index: attempt(1 + index * step), range(start, start + _AT_ONCE)))
            if not all(struck):
                return start + struck.index(False)
    raise AssertionError("count() has no end")
