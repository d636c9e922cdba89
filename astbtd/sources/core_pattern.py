"""Parses the kernel's core_pattern, which determines where cores are written; see core(5)."""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from astbtd.sources.collectors.collector import Collector

KERNEL_DIRECTORY = Path("/proc/sys/kernel")
"""The directory of the kernel's settings. inotify reports when one is written."""

SETTINGS = frozenset(("core_pattern", "core_uses_pid"))
"""The settings that determine where cores are written."""

_SPECIFIER = re.compile(r"%(%|.|$)", re.DOTALL)


class Kind(Enum):
    """What the kernel does with a core."""

    RELATIVE = "a file in the working directory of the process"
    ABSOLUTE = "a file in a fixed directory"
    PIPE = "piped to a program"
    SOCKET = "sent to a socket"
    NONE = "not written"


@dataclass(frozen=True)
class CorePattern:
    """A parsed core_pattern. `uses_pid` is core_uses_pid.

    `directory` is absolute, or relative to the working directory of the process ('.' for that directory itself). `name`
    is the file name. Both are globs: a specifier is replaced by '*', which never has to match a slash, because the
    kernel writes '!' instead of one (core(5)).
    """

    text: str
    kind: Kind
    directory: str | None
    name: str | None = None
    uses_pid: bool = False

    @property
    def helper(self) -> str | None:
        """The base name of the program that cores are piped to."""
        words = self.text[1:].split() if self.kind is Kind.PIPE else []
        return os.path.basename(words[0]) if words else None

    @property
    def socket(self) -> str | None:
        """The path of the socket that cores are sent to. '@@' selects the protocol with a request first."""
        return self.text.lstrip("@") if self.kind is Kind.SOCKET else None

    @property
    def unwatched_reason(self) -> str | None:
        """Why this pattern leads to no directory that can be watched; None if it leads to one."""
        if self.kind is Kind.PIPE:
            return (
                f"core_pattern {self.text!r} pipes cores to a program: "
                "add the directory where it stores them to watch.directories"
            )
        if self.kind is Kind.SOCKET:
            return (
                f"core_pattern {self.text!r} sends cores to a socket: "
                "add the directory where they are stored to watch.directories"
            )
        if self.kind is Kind.NONE:
            return "core_pattern is empty: the kernel writes cores only if core_uses_pid is set"
        return None

    def feeds(self, collector: Collector) -> bool:
        """Return True if the kernel hands cores to this collector."""
        if self.helper is not None:
            return self.helper in collector.helpers
        if self.socket is not None and collector.sockets is not None:
            return self.socket.startswith(collector.sockets)
        return False

    def matches(self, file_name: str) -> bool:
        """Return True if the kernel may give a core this file name."""
        if self.name is None:
            return False
        if fnmatchcase(file_name, self.name):
            return True
        return self.uses_pid and fnmatchcase(file_name, f"{self.name}.[0-9]*")


def parse(text: str, *, uses_pid: bool = False) -> CorePattern:
    """Parse a core_pattern as /proc/sys/kernel/core_pattern contains it."""
    pattern = text.strip("\n")
    kind = _find_kind(pattern, uses_pid=uses_pid)
    if kind not in (Kind.ABSOLUTE, Kind.RELATIVE):
        return CorePattern(pattern, kind, directory=None)
    directory, name = os.path.split("".join(_glob_parts(pattern)))
    return CorePattern(pattern, kind, os.path.normpath(directory or "."), name, uses_pid)


def read_current() -> CorePattern:
    """Return the pattern of the running kernel. Raise OSError if /proc does not show it."""
    pattern = (KERNEL_DIRECTORY / "core_pattern").read_text(errors="surrogateescape")
    uses_pid = (KERNEL_DIRECTORY / "core_uses_pid").read_text().strip() != "0"
    return parse(pattern, uses_pid=uses_pid)


def _find_kind(pattern: str, *, uses_pid: bool) -> Kind:
    if not pattern:
        # The kernel then names the core after the pid alone, if core_uses_pid is set.
        return Kind.RELATIVE if uses_pid else Kind.NONE
    by_first_character = {"|": Kind.PIPE, "@": Kind.SOCKET, "/": Kind.ABSOLUTE}
    return by_first_character.get(pattern[0], Kind.RELATIVE)


def _glob_parts(pattern: str) -> Iterator[str]:
    """Yield the pattern with '*' for each specifier, known or not. The kernel drops a final '%'."""
    position = 0
    for match in _SPECIFIER.finditer(pattern):
        yield glob.escape(pattern[position : match.start()])
        specifier = match[1]
        if specifier == "%":
            yield "%"
        elif specifier:
            yield "*"
        position = match.end()
    yield glob.escape(pattern[position:])
