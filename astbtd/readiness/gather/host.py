"""Gathers the facts that are the same for every Asterisk: kernel settings, systemd, gdb, the disk of the store."""

import os
from collections.abc import Sequence
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.extraction.gdb_probe import probe_gdb
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.lib.mounts import Mounts
from astbtd.readiness.facts import Coredump, Disk, Family, Gdb, Kernel
from astbtd.readiness.gather.systemd_config import parse_size, read_configuration
from astbtd.readiness.gather.timeout import SECONDS
from astbtd.settings import CollectorSettings, GdbSettings
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.collectors import systemd_coredump
from astbtd.sources.core_pattern import CorePattern, Kind

_KERNEL, _FS = Path("/proc/sys/kernel"), Path("/proc/sys/fs")
_COREDUMP_SIZE_LIMIT = 32 << 30  # the default of coredump.conf(5) on 64-bit systems
_DEBIAN = frozenset(("debian", "ubuntu"))
_RHEL = frozenset(("rhel", "fedora", "centos"))


def read_kernel(configured: Sequence[str], collectors: CollectorSettings) -> Kernel:
    """Return the kernel settings that determine where cores go.

    A program or socket that receives the cores may store them in one of the `configured` directories, or, if it is a
    known collector, in the directories of `collectors`.
    """
    pattern = core_pattern.read_current()
    helper_runs = os.access(helper_path(pattern.text), os.X_OK) if pattern.kind is Kind.PIPE else None
    collections: tuple[str, ...] = ()
    if pattern.kind in (Kind.PIPE, Kind.SOCKET):
        directories = watched_directories.collector_directories(collectors, Mounts.current())
        active = [directory for directory, collector in directories.items() if pattern.feeds(collector)]
        collections = (*configured, *active)
    return Kernel(
        pattern=pattern,
        unwatched_reason=None if collections else pattern.unwatched_reason,
        uses_pid=(_KERNEL / "core_uses_pid").read_text().strip() != "0",
        suid_dumpable=int((_FS / "suid_dumpable").read_text()),
        helper_runs=helper_runs,
        collections=collections,
    )


def helper_path(pattern: str) -> str:
    """Return the path of the program that a core_pattern pipes cores to."""
    words = pattern.lstrip("|").split()
    return words[0] if words else ""


def read_coredump(pattern: CorePattern) -> Coredump | None:
    """Return the limits of systemd-coredump; None if it does not receive the cores."""
    if not pattern.feeds(systemd_coredump.COLLECTOR):
        return None
    settings = read_configuration("coredump.conf", "Coredump")
    return Coredump(
        storage=settings.get("Storage") or "external",
        process_size=parse_size(settings.get("ProcessSizeMax"), _COREDUMP_SIZE_LIMIT),
        external_size=parse_size(settings.get("ExternalSizeMax"), _COREDUMP_SIZE_LIMIT),
    )


def read_gdb(settings: GdbSettings) -> Gdb:
    """Run gdb once, in the same sandbox as for a core, and return its version and whether it has Python."""
    try:
        found = probe_gdb(settings, find_sandbox_user(settings.user), SECONDS - 1)
    except AstbtdError as error:
        return Gdb(settings.program, None, python=False, problem=error.message, remedy=error.remedy or None)
    return Gdb(settings.program, found.version, found.python, problem=None)


def is_journal_persistent() -> bool:
    """Return True if journald writes to the disk. Raise FileNotFoundError if there is no journald.

    Storage=auto, the default, depends on whether the directory of the journal exists.
    """
    storage = read_configuration("journald.conf", "Journal").get("Storage")
    if storage in ("volatile", "none"):
        return False
    if not os.path.exists("/run/systemd/journal/socket"):
        raise FileNotFoundError
    machine_id = Path("/etc/machine-id").read_text().strip()
    return Path("/var/log/journal", machine_id).exists()


def read_disk(path: str) -> Disk:
    """Return the file system of a path, or of its nearest parent that exists."""
    existing = next(parent for parent in (Path(path), *Path(path).parents) if parent.exists())
    found = os.statvfs(existing)
    return Disk(path, free=found.f_bavail * found.f_frsize, total=found.f_blocks * found.f_frsize)


def read_family() -> Family:
    """Return the family of this host's distribution."""
    try:
        return parse_family(Path("/etc/os-release").read_text(errors="replace"))
    except OSError:
        return Family.OTHER


def parse_family(os_release: str) -> Family:
    """Return the family of a distribution, given its os-release(5)."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    ids: set[str] = set()
    for name in ("ID", "ID_LIKE"):
        ids.update(values.get(name, "").strip("\"'").split())
    if ids & _DEBIAN:
        return Family.DEBIAN
    if ids & _RHEL:
        return Family.RHEL
    return Family.OTHER
