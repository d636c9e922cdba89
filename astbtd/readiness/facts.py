"""What the checks judge: the machine, astbtd itself, and each Asterisk, as they were found.

A fact that could not be had is an Unknown that says why. Sizes are bytes, times seconds since the epoch.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from astbtd.model.crash import Asterisk
from astbtd.readiness.result import Unknown
from astbtd.sources.core_pattern import CorePattern

_SMALLEST_CORE = 4096
_ON = ("yes", "true", "tmpfs", "connected", "disconnected")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - compared with, never written to
STOPPED = Unknown("Asterisk does not run", "start it, then: astbtd check")


class StartedBy(StrEnum):
    """Who started Asterisk, and so starts it again."""

    UNIT = "a systemd unit"
    SAFE_ASTERISK = "safe_asterisk"
    FREEPBX = "FreePBX (fwconsole)"
    HAND = "hand"


@dataclass(frozen=True)
class Limit:
    """A resource limit in bytes; None is no limit."""

    soft: int | None
    hard: int | None

    @property
    def allows_cores(self) -> bool:
        """Whether a core is written at all: none is below one page (fs/coredump.c; 1 stops those to programs too)."""
        return self.soft is None or self.soft >= _SMALLEST_CORE


@dataclass(frozen=True)
class Credentials:
    """Whom a process acts as, as far as files are concerned; `capabilities` are its effective ones."""

    uid: int
    groups: frozenset[int]
    capabilities: int

    def has(self, capability: int) -> bool:
        """Whether it has the capability of that number."""
        return bool(self.capabilities >> capability & 1)


@dataclass(frozen=True)
class Process:
    """A running Asterisk as /proc shows it to everyone.

    `resident` is what a core of it takes on a disk, `writable` the most that it can be long.
    """

    pid: int
    command: tuple[bytes, ...]
    credentials: Credentials
    core_limit: Limit
    dumpable: bool
    resident: int
    writable: int
    started: float


@dataclass(frozen=True)
class Unit:
    """A unit's properties, as `systemctl show` names and prints them."""

    name: str
    properties: dict[str, str]

    def __getitem__(self, property_name: str) -> str:
        return self.properties.get(property_name, "")

    @property
    def command(self) -> tuple[bytes, ...]:
        """The words of its ExecStart=."""
        _, _, rest = self["ExecStart"].partition("argv[]=")
        return tuple(os.fsencode(word) for word in rest.partition(" ; ")[0].split())

    def paths(self, property_name: str) -> tuple[str, ...]:
        """The directories that a property lists, without the marks that systemd.exec(5) lets stand before them."""
        return tuple(path.lstrip("-+!") for path in self[property_name].split())

    @property
    def is_active(self) -> bool:
        """Whether it runs."""
        return self["ActiveState"] == "active"

    def has(self, property_name: str) -> bool:
        """Whether a setting is on, in any of the ways that systemd.exec(5) knows."""
        return self[property_name] in _ON

    def makes_private(self, directory: str) -> bool:
        """Whether its PrivateTmp= puts something else in the place of a directory."""
        return self.has("PrivateTmp") and is_below(directory, _TEMPORARY)


@dataclass(frozen=True)
class ExistingFile:
    """What lies in a directory under the name that the next core is to have."""

    name: str
    uid: int
    is_directory: bool


class DirectoryProblem(Enum):
    """Why the process or we do not find the directory of the core, or not for long."""

    MISSING = "does not exist"
    HIDDEN = "is hidden from it"
    PRIVATE = "is private to it"
    CONTAINED = "is in a container, and not seen from here"
    FLEETING = "is private to it and goes with it"


@dataclass(frozen=True)
class Directory:
    """Where the kernel writes the core, as the process sees it.

    `here` is what we call it, None where we do not see it. `fixed`: core_pattern names it, whatever the process's
    working directory. `entry` is what lies there under the next core's name; None too where that name is not known
    before.
    """

    path: str
    here: str | None
    fixed: bool
    problem: DirectoryProblem | None
    uid: int
    gid: int
    mode: int
    read_only: bool
    free: int
    entry: ExistingFile | None


class Change(Enum):
    """How a mapped object on disk differs from what Asterisk runs."""

    REPLACED = auto()
    REMOVED = auto()
    OVERWRITTEN = auto()


class Role(Enum):
    """What a mapped object is to a backtrace."""

    ASTERISK = auto()  # its executable, its modules
    LIBC = auto()  # where nearly every thread of it waits
    LIBRARY = auto()


@dataclass(frozen=True)
class MappedObject:
    """The executable or a shared object of a running Asterisk.

    `symbols` and `readable` (by gdb's user) are of the file on disk.
    """

    path: str
    role: Role
    change: Change | None
    symbols: bool
    readable: bool


@dataclass(frozen=True)
class Program:
    """Asterisk's executable. `packages` own it and its modules, where packages do."""

    path: str
    symbols: bool
    readable: bool
    built: Asterisk
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Console:
    """What a running Asterisk says of itself: `core show settings`."""

    dumpcore: bool | None
    built: Asterisk


@dataclass(frozen=True)
class Instance:
    """One Asterisk: a running one, or with `process` Unknown the one that would be started.

    `configuration` is its asterisk.conf, `directory` None where the kernel writes no file.
    """

    process: Process | Unknown
    manager: StartedBy | None
    unit: Unit | None
    configuration: str
    configured_dumpcore: bool | Unknown
    console: Console | Unknown
    directory: Directory | Unknown | None
    program: Program | Unknown
    objects: tuple[MappedObject, ...] | Unknown


@dataclass(frozen=True)
class Coredump:
    """systemd-coredump's own limits: `storage` as in coredump.conf, sizes None where there is no limit."""

    storage: str
    process_size: int | None
    external_size: int | None


@dataclass(frozen=True)
class Kernel:
    """What decides where cores go. `unseen` says why astbtd does not watch where they go, None if it does.

    `helper` is whether the program that core_pattern names can be run; None where it names none. `kept_in` are the
    directories where who is handed cores keeps them.
    """

    pattern: CorePattern
    unseen: str | None
    uses_pid: bool
    suid_dumpable: int
    helper: bool | None
    kept_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gdb:
    """The debugger, as the user that runs it sees it; `problem` says why it cannot be used."""

    program: str
    version: str | None
    python: bool
    problem: str | None
    remedy: str | None = None


@dataclass(frozen=True)
class Disk:
    """The file system of the store."""

    path: str
    free: int
    total: int


class Family(StrEnum):
    """The families of distributions whose packages of symbols we can name."""

    DEBIAN = "debian"
    RHEL = "rhel"
    OTHER = "other"


@dataclass(frozen=True)
class HostFacts:
    """All that is the same for every Asterisk. `coredump` is None where systemd-coredump does not collect the cores."""

    family: Family
    kernel: Kernel | Unknown
    coredump: Coredump | Unknown | None
    gdb: Gdb | Unknown
    store: Disk | Unknown
    journal_persistent: bool | Unknown
    astbtd: Unit | Unknown


@dataclass(frozen=True)
class Facts:
    """Everything; there is at least one instance."""

    machine: HostFacts
    instances: Sequence[Instance]


def is_below(path: str, directories: Sequence[str]) -> bool:
    """Whether a path is one of some directories or leads into one."""
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in directories)
