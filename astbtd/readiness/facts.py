"""The facts that the checks evaluate: about the host, about astbtd itself, and about each Asterisk.

A fact that cannot be determined is an `Unknown` with the reason. Sizes are in bytes, times in seconds since 1970.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from mmap import PAGESIZE

from astbtd.asterisk.identity import ForeignProcess
from astbtd.model.crash import Asterisk
from astbtd.readiness.gather.debug_files import Debuginfod
from astbtd.readiness.program_facts import MappedObject, Program
from astbtd.readiness.result import Unknown
from astbtd.sources.core_pattern import CorePattern

_PAGE = PAGESIZE  # 16 KiB in the kernel of a Raspberry Pi 5
_ENABLED = ("yes", "true", "tmpfs", "connected", "disconnected")  # values of boolean settings in systemd.exec(5)
_TEMPORARY_DIRECTORIES = ("/tmp", "/var/tmp")  # noqa: S108 - compared with, never written to
STOPPED = Unknown("Asterisk is not running", "start it, then: astbtd check")


class StartedBy(StrEnum):
    """What started Asterisk, and can restart it."""

    UNIT = "a systemd unit"
    SAFE_ASTERISK = "safe_asterisk"
    FREEPBX = "FreePBX (fwconsole)"
    HAND = "hand"


@dataclass(frozen=True)
class Limit:
    """A resource limit in bytes; None means unlimited."""

    soft: int | None
    hard: int | None

    @classmethod
    def parse(cls, soft: str, hard: str) -> "Limit":
        """Parse limits as systemctl prints them; anything but a number means unlimited."""
        return cls(*(int(text) if text.isdigit() else None for text in (soft, hard)))

    @property
    def allows_core(self) -> bool:
        """True if a core is written at all.

        The kernel writes none if the limit is below one page; a limit of 1 also disables piping (fs/coredump.c).
        """
        return self.soft is None or self.soft >= _PAGE


@dataclass(frozen=True)
class Credentials:
    """The user, groups and effective capabilities of a process."""

    uid: int
    groups: frozenset[int]
    capabilities: int

    def has_capability(self, number: int) -> bool:
        """Return True if the process has the capability with this number (linux/capability.h)."""
        return bool(self.capabilities >> number & 1)


@dataclass(frozen=True)
class Process:
    """A running Asterisk, as far as /proc shows it to every user.

    `resident` is the disk space that a core of it needs, `writable` the maximum length of a core.
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
    """A systemd unit. The properties are named and formatted as `systemctl show` prints them."""

    name: str
    properties: dict[str, str]

    def __getitem__(self, property_name: str) -> str:
        return self.properties.get(property_name, "")

    @property
    def command(self) -> tuple[bytes, ...]:
        """The arguments of ExecStart=."""
        _, _, rest = self["ExecStart"].partition("argv[]=")
        arguments = rest.partition(" ; ")[0]
        return tuple(os.fsencode(word) for word in arguments.split())

    def paths(self, property_name: str) -> tuple[str, ...]:
        """Return the directories in a property, without the prefixes that systemd.exec(5) allows."""
        return tuple(path.lstrip("-+!") for path in self[property_name].split())

    @property
    def is_active(self) -> bool:
        """True if the unit is running."""
        return self["ActiveState"] == "active"

    def is_enabled(self, property_name: str) -> bool:
        """Return True if a boolean setting has one of the values of systemd.exec(5) that enable it."""
        return self[property_name] in _ENABLED

    def hides_tmp(self, directory: str) -> bool:
        """Return True if PrivateTmp= replaces a directory for this unit."""
        return self.is_enabled("PrivateTmp") and is_below(directory, _TEMPORARY_DIRECTORIES)


@dataclass(frozen=True)
class ExistingFile:
    """A file with the name that the next core will get."""

    name: str
    uid: int
    is_directory: bool


class DirectoryProblem(Enum):
    """Why the process or astbtd cannot access the directory of the core, or only for a short time."""

    MISSING = "does not exist"
    HIDDEN = "is hidden from Asterisk"
    PRIVATE = "is private to Asterisk"
    CONTAINED = "is in a container, not accessible from the host"
    VOLATILE = "is private to Asterisk and removed when its service stops"


@dataclass(frozen=True)
class Directory:
    """The directory to which the kernel writes the core, as the process sees it.

    `host_path` is its path for astbtd, None if astbtd cannot access it. `is_fixed`: core_pattern names the directory,
    so the working directory of the process does not matter. `existing` is a file with the name of the next core, None
    also if that name is not known in advance. `free` is in bytes.
    """

    path: str
    host_path: str | None
    is_fixed: bool
    problem: DirectoryProblem | None
    uid: int
    gid: int
    mode: int
    read_only: bool
    free: int
    existing: ExistingFile | None


@dataclass(frozen=True)
class Console:
    """The output of `core show settings` of a running Asterisk."""

    dumpcore: bool | None
    built: Asterisk


@dataclass(frozen=True)
class Instance:
    """One Asterisk: a running one, or, if `process` is Unknown, the one that would be started.

    `configuration` is the path of its asterisk.conf. `directory` is None if the kernel writes no file.
    `other_programs` of its unit may dump core in the same directory.
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
    other_programs: tuple[str, ...] | Unknown = ()


@dataclass(frozen=True)
class Coredump:
    """The limits of systemd-coredump: `storage` as in coredump.conf; a size of None means unlimited."""

    storage: str
    process_size: int | None
    external_size: int | None


@dataclass(frozen=True)
class Kernel:
    """The kernel settings that determine where cores go.

    `unwatched_reason` says why astbtd does not watch the directory of the cores; None if it does. `helper_runs` says
    whether the program in core_pattern can be executed; None if there is none. `collections` are the directories in
    which the program or socket that receives the cores stores them.
    """

    pattern: CorePattern
    unwatched_reason: str | None
    uses_pid: bool
    suid_dumpable: int
    helper_runs: bool | None
    collections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gdb:
    """gdb, as the user that runs it sees it. `problem` says why it cannot be used."""

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
    """The families of distributions whose symbol packages are known."""

    DEBIAN = "debian"
    RHEL = "rhel"
    OTHER = "other"


@dataclass(frozen=True)
class HostFacts:
    """The facts that are the same for every Asterisk. `coredump` is None if systemd-coredump does not receive cores."""

    family: Family
    kernel: Kernel | Unknown
    coredump: Coredump | Unknown | None
    gdb: Gdb | Unknown
    store: Disk | Unknown
    journal_persistent: bool | Unknown
    astbtd: Unit | Unknown
    missing_restrictions: tuple[str, ...] = ()
    debuginfod: Debuginfod | Unknown | None = None  # no server is configured


@dataclass(frozen=True)
class Facts:
    """All facts. There is at least one instance. `foreign` are the processes called Asterisk that are not the PBX."""

    host: HostFacts
    instances: Sequence[Instance]
    foreign: Sequence[ForeignProcess] = ()


def is_below(path: str, directories: Sequence[str]) -> bool:
    """Return True if a path is one of the directories or below one of them."""
    with_slash = f"{path}/"
    return any(with_slash.startswith(f"{directory.rstrip('/')}/") for directory in directories)
