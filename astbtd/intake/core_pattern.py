"""Tells from the kernel's core_pattern where cores are written; see core(5)."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


class Kind(Enum):
    """What the kernel does with a core."""

    RELATIVE = "a file in the working directory of the process"
    ABSOLUTE = "a file in a fixed directory"
    PIPE = "fed to a program"
    SOCKET = "sent to a socket"
    NONE = "not written"


@dataclass(frozen=True)
class CorePattern:
    """A parsed core_pattern. `directory` is absolute, or relative to the working directory ('.' for that itself)."""

    text: str
    kind: Kind
    directory: str | None

    @property
    def unwatched(self) -> str | None:
        """Why the places this pattern leads to are not watched, None if they are."""
        if self.kind is Kind.PIPE:
            return f"core_pattern {self.text!r} hands cores to a program"
        if self.kind is Kind.SOCKET:
            return f"core_pattern {self.text!r} sends cores to a socket"
        if self.kind is Kind.NONE:
            return "core_pattern is empty: the kernel writes cores only where core_uses_pid is set"
        if "%" in _directory(self.text).replace("%%", ""):
            return f"core_pattern {self.text!r} names a directory that varies"
        return None


def parse(text: str) -> CorePattern:
    """The meaning of a core_pattern, given as /proc/sys/kernel/core_pattern shows it."""
    pattern = text.strip("\n")
    if pattern.startswith("|"):
        return CorePattern(pattern, Kind.PIPE, None)
    if pattern.startswith("@"):
        return CorePattern(pattern, Kind.SOCKET, None)
    if not pattern:
        return CorePattern(pattern, Kind.NONE, None)
    directory = _directory(pattern).replace("%%", "%")
    return CorePattern(pattern, Kind.ABSOLUTE if pattern.startswith("/") else Kind.RELATIVE, directory)


def _directory(pattern: str) -> str:
    return str(PurePosixPath(pattern).parent)


def current() -> CorePattern:
    """The running kernel's pattern. Raises OSError where /proc does not show it."""
    return parse(CORE_PATTERN.read_text(errors="surrogateescape"))
