"""The facts about Asterisk's files on disk: its executable, its modules and libraries, and its sources."""

from dataclasses import dataclass
from enum import Enum, auto

from astbtd.model.crash import Asterisk


class FileChange(Enum):
    """How a mapped file on disk differs from what Asterisk runs."""

    REPLACED = auto()
    REMOVED = auto()
    OVERWRITTEN = auto()


class ObjectRole(Enum):
    """The role of a mapped object in a backtrace."""

    ASTERISK = auto()  # the executable and its modules
    LIBC = auto()  # nearly every thread waits in it
    LIBRARY = auto()


@dataclass(frozen=True)
class MappedObject:
    """The executable or a shared object of a running Asterisk.

    `symbols` and `readable` (by the user that gdb runs as) describe the file on disk.
    """

    path: str
    role: ObjectRole
    change: FileChange | None
    symbols: bool
    readable: bool


@dataclass(frozen=True)
class SourceTree:
    """The sources that Asterisk was built from. `configured_with` are the arguments of configure, None if unknown."""

    directory: str
    configured_with: tuple[str, ...] | None


@dataclass(frozen=True)
class Program:
    """The executable of Asterisk. `packages` own it and its modules; empty if no package does.

    `exports_functions` is False if no function of it has a name once it is stripped. `source` is None if the sources
    are not on this machine. `symbols_advice` says how to install the missing symbols, in sentences.
    """

    path: str
    symbols: bool
    readable: bool
    built: Asterisk
    packages: tuple[str, ...]
    source: SourceTree | None = None
    exports_functions: bool = True
    symbols_advice: tuple[str, ...] = ()
