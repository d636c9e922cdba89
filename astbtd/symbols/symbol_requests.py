"""What the daemon asks for, and what the networked unit answers. Neither trusts the other's file."""

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from astbtd.lib import files, json_file, path_walk
from astbtd.symbols.symbol_directories import SymbolDirectories, is_build_id

MOST_WANTED = 1000
"""The largest number of build ids that are asked for at once."""

_LONGEST_REQUEST = 1 << 17  # bytes
_LONGEST_ANSWERS = 4 << 20  # bytes
_ASK_AGAIN = timedelta(days=1)


class Result(StrEnum):
    """What became of a build id.

    `missing`: no server has it. `refused`: what came was not the file that was asked for, or too large. `failed`: no
    server could be asked, or none answered in time.
    """

    FOUND = "found"
    MISSING = "missing"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Answer:
    """What became of a build id, and when. `reason` is for people."""

    result: Result
    at: datetime
    reason: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Return whether the build id need not be asked for again: for a day, unless no server could be asked."""
        return self.result is not Result.FAILED and timedelta(0) <= now - self.at < _ASK_AGAIN


@dataclass(frozen=True)
class Answers:
    """The answers by build id."""

    answers: Mapping[str, Answer] = field(default_factory=dict)


def write_wanted(directories: SymbolDirectories, build_ids: Iterable[str]) -> None:
    """Ask for these build ids, in this order; the networked unit starts when the file has changed. Raise OSError."""
    lines = "".join(f"{each}\n" for each in list(build_ids)[:MOST_WANTED])
    files.replace(directories.wanted, lines.encode(), files.EVERYBODY_READS)


def read_wanted(directories: SymbolDirectories) -> tuple[str, ...]:
    """Return the build ids that are asked for; none if there is no request. Raise OSError."""
    try:
        lines = _read(directories.wanted, _LONGEST_REQUEST).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(dict.fromkeys(filter(is_build_id, lines)))[:MOST_WANTED]


def write_answers(directories: SymbolDirectories, answers: Mapping[str, Answer]) -> None:
    """Replace the answers. Raise OSError."""
    json_file.replace(directories.answers, Answers(answers))


def read_answers(directories: SymbolDirectories) -> dict[str, Answer]:
    """Return the answers by build id. What is invalid, or not there, is no answer. Raise PermissionError."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueError):
        decoded = json_file.decode(_read(directories.answers, _LONGEST_ANSWERS), Answers)
        return {key: each for key, each in decoded.answers.items() if is_build_id(key)}
    return {}


def _read(path: Path, limit: int) -> bytes:
    """Return the start of a regular file, whatever another user puts in its place. Raise OSError."""
    with path_walk.opened_directory(path.parent) as directory:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(str(path))
        return os.pread(descriptor, limit, 0)
    finally:
        os.close(descriptor)
