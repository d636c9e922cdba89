"""Read which programs the services of systemd start, from their files: only files that root alone can write count.

A file is read again if it has changed. There are hundreds, and each crash asks for them more than once.
"""

import os
import shlex
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from astbtd.lib.files import open_regular

UNIT_DIRECTORIES = (  # highest priority first; see systemd.unit(5)
    "/run/systemd/transient",  # units that `systemd-run` makes
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
)
SHELLS = frozenset(("sh", "dash", "bash", "busybox", "ash"))

_EXEC_PREFIXES = "@-:+!|"  # special characters before the program in ExecStart=
_BEFORE_PROGRAM = frozenset((";", "&", "&&", "|", "||", "(", "exec"))  # in a script of the shell
_MAX_UNIT_BYTES = 1 << 16
_MAX_KNOWN_FILES = 2000


@dataclass
class Unit:
    """What a unit file and its drop-ins say. `commands` are those of ExecStart=."""

    commands: list[tuple[str, ...]] = field(default_factory=list)
    user: str = ""

    def programs(self) -> set[str]:
        """Return the base names of the programs that the unit starts, by itself or with `sh -c`."""
        return {name for words in self.commands if words for name in _started_programs(words)}


@dataclass(frozen=True)
class _Assignment:
    """`User=`, or `ExecStart=` with the `words` of its command; an empty assignment has none."""

    user: str | None = None
    words: tuple[str, ...] = ()


def read_units(directories: Sequence[str] = UNIT_DIRECTORIES) -> Iterator[tuple[str, Unit]]:
    """Yield each service with its name."""
    for name, paths in _unit_files(directories).items():
        unit = Unit()
        for path in paths:
            _add(unit, path)
        yield name, unit


def is_of_root(status: os.stat_result) -> bool:
    """Return whether only root can write to a file."""
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _unit_files(directories: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each service: the main file with the highest priority, then the drop-ins by name."""
    main: dict[str, str] = {}
    drop_ins: dict[str, dict[str, str]] = defaultdict(dict)
    for directory in directories:
        for name in _list(directory):
            path = f"{directory}/{name}"
            if name.endswith(".service"):
                main.setdefault(name, path)
            elif name.endswith(".service.d"):
                for file in _list(path):
                    if file.endswith(".conf"):
                        drop_ins[name.removesuffix(".d")].setdefault(file, f"{path}/{file}")
    return {name: [path, *(drop_ins[name][file] for file in sorted(drop_ins[name]))] for name, path in main.items()}


def _list(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _add(unit: Unit, path: str) -> None:
    """Add what a file says, unless others than root can write to it. That of a masked unit is /dev/null."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or not is_of_root(status):
            return
        assignments = _assignments(path, status.st_dev, status.st_ino, status.st_ctime_ns)
    except OSError:
        return
    for assignment in assignments:
        if assignment.user is not None:
            unit.user = assignment.user
        elif assignment.words:
            unit.commands.append(assignment.words)
        else:  # an empty assignment resets the list
            unit.commands.clear()


@lru_cache(_MAX_KNOWN_FILES)
def _assignments(path: str, *_: int) -> tuple[_Assignment, ...]:
    """Return the assignments in a file that count. The other arguments are different if the file was changed.

    Raise OSError: a file that cannot be read now is read again by the next call.
    """
    found: list[_Assignment] = []
    for name, value in _service_assignments(_read_of_root(path)):
        if name == "User":
            found.append(_Assignment(user=value))
        elif name == "ExecStart" and not value:
            found.append(_Assignment())
        elif name == "ExecStart":
            with suppress(ValueError):
                words = tuple(shlex.split(value))
                found += [_Assignment(words=words)] if words else []
    return tuple(found)


def _service_assignments(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _read_of_root(path: str) -> str:
    """Return the text of a file that only root can write, else an empty text. Raise OSError."""
    descriptor = open_regular(path)
    try:
        if not is_of_root(os.fstat(descriptor)):
            return ""
        return os.pread(descriptor, _MAX_UNIT_BYTES, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def _started_programs(words: Sequence[str]) -> Iterator[str]:
    """Yield the base name of a command's program, and those of the programs in the script of `sh -c`."""
    program = os.path.basename(words[0].lstrip(_EXEC_PREFIXES))
    yield program
    if program in SHELLS and "-c" in words[:-1]:
        script = words[words.index("-c") + 1]
        with suppress(ValueError):
            yield from _programs_of_script(list(shlex.shlex(script, posix=True, punctuation_chars=True)))


def _programs_of_script(words: Sequence[str]) -> Iterator[str]:
    """Yield the base names of the words of a shell script that stand where a program is expected."""
    expected = True
    for word in words:
        if expected and word not in _BEFORE_PROGRAM:
            yield os.path.basename(word)
        expected = word in _BEFORE_PROGRAM or (expected and "=" in word)
