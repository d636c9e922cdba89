"""Tells from the kernel's core_pattern where cores are written; see core(5)."""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

KERNEL = Path("/proc/sys/kernel")
"""Where the kernel shows the settings; inotify sees when one is written."""

SETTINGS = frozenset(("core_pattern", "core_uses_pid"))
"""Those on which the places of cores depend."""

_SPECIFIER = re.compile(r"%(%|.|$)", re.DOTALL)


class Kind(Enum):
    """What the kernel does with a core."""

    RELATIVE = "a file in the working directory of the process"
    ABSOLUTE = "a file in a fixed directory"
    PIPE = "fed to a program"
    SOCKET = "sent to a socket"
    NONE = "not written"


@dataclass(frozen=True)
class CorePattern:
    """A parsed core_pattern; `uses_pid` is core_uses_pid.

    `directory` is absolute, or relative to the working directory ('.' for that itself); `name` is the file's. Both are
    globs, as specifiers stand for what only the crash decides: they expand to no slash (core(5): it becomes '!').
    """

    text: str
    kind: Kind
    directory: str | None
    name: str | None = None
    uses_pid: bool = False

    @property
    def helper(self) -> str | None:
        """The name of the program that cores are fed to."""
        words = self.text[1:].split() if self.kind is Kind.PIPE else []
        return os.path.basename(words[0]) if words else None

    @property
    def socket(self) -> str | None:
        """The path of the socket that cores are sent to; '@@' is the protocol in which the server is asked first."""
        return self.text.lstrip("@") if self.kind is Kind.SOCKET else None

    @property
    def unwatched(self) -> str | None:
        """Why there is no place to watch that this pattern leads to, None if there is."""
        if self.kind is Kind.PIPE:
            return f"core_pattern {self.text!r} hands cores to a program: name in watch.directories where it keeps them"
        if self.kind is Kind.SOCKET:
            return f"core_pattern {self.text!r} sends cores to a socket: name in watch.directories where they are kept"
        if self.kind is Kind.NONE:
            return "core_pattern is empty: the kernel writes cores only where core_uses_pid is set"
        return None

    def names(self, file: str) -> bool:
        """Whether the kernel may give a core this file name."""
        if self.name is None:
            return False
        return fnmatchcase(file, self.name) or (self.uses_pid and fnmatchcase(file, f"{self.name}.[0-9]*"))


def parse(text: str, *, uses_pid: bool = False) -> CorePattern:
    """The meaning of a core_pattern, given as /proc/sys/kernel/core_pattern shows it."""
    pattern = text.strip("\n")
    if pattern.startswith("|"):
        return CorePattern(pattern, Kind.PIPE, None)
    if pattern.startswith("@"):
        return CorePattern(pattern, Kind.SOCKET, None)
    if not pattern and not uses_pid:
        return CorePattern(pattern, Kind.NONE, None)
    directory, name = os.path.split("".join(_as_glob(pattern)))
    kind = Kind.ABSOLUTE if pattern.startswith("/") else Kind.RELATIVE
    return CorePattern(pattern, kind, os.path.normpath(directory or "."), name, uses_pid)


def current() -> CorePattern:
    """The running kernel's pattern. Raises OSError where /proc does not show it."""
    pattern = (KERNEL / "core_pattern").read_text(errors="surrogateescape")
    return parse(pattern, uses_pid=(KERNEL / "core_uses_pid").read_text().strip() != "0")


def _as_glob(pattern: str) -> Iterator[str]:
    """The pattern with a star for each specifier, known or not, and none for a last '%', which the kernel drops."""
    position = 0
    for match in _SPECIFIER.finditer(pattern):
        yield glob.escape(pattern[position : match.start()])
        yield {"%": "%", "": ""}.get(match[1], "*")
        position = match.end()
    yield glob.escape(pattern[position:])
