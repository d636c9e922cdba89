"""Reads what is the same for every Asterisk: the kernel's settings, systemd's, the disk of the store."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from astbtd.lib.mounts import Mounts
from astbtd.readiness.facts import Coredump, Disk, Family, Kernel
from astbtd.readiness.gather.systemd_settings import assignments, size
from astbtd.settings import CollectorSettings
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.core_pattern import CorePattern, Kind

_KERNEL, _FS = Path("/proc/sys/kernel"), Path("/proc/sys/fs")
_CONFIGURED_IN = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")  # the last one wins
_COREDUMP_LIMIT = 32 << 30  # coredump.conf(5), on 64-bit systems
_DEBIAN = frozenset(("debian", "ubuntu"))
_RHEL = frozenset(("rhel", "fedora", "centos"))


def kernel(directories: Sequence[str], collected: CollectorSettings) -> Kernel:
    """What decides where cores go; who is handed them may put them into one of the configured `directories`.

    What known collectors keep is `collected` unless the settings leave them out.
    """
    pattern = core_pattern.current()
    helper = os.access(helper_of(pattern.text), os.X_OK) if pattern.kind is Kind.PIPE else None
    uses_pid = (_KERNEL / "core_uses_pid").read_text().strip() != "0"
    collections = watched_directories.collections(collected, Mounts.now()).items()
    fed = [directory for directory, collector in collections if collector.is_fed_by(pattern)]
    kept_in = (*directories, *fed) if pattern.kind in (Kind.PIPE, Kind.SOCKET) else ()
    unseen = None if kept_in else pattern.unwatched
    return Kernel(pattern, unseen, uses_pid, int((_FS / "suid_dumpable").read_text()), helper, kept_in)


def helper_of(pattern: str) -> str:
    """The program that a core_pattern feeds."""
    return (pattern.lstrip("|").split() or [""])[0]


def coredump(pattern: CorePattern) -> Coredump | None:
    """systemd-coredump's limits, where it collects the cores."""
    if not SystemdCoredump().is_fed_by(pattern):
        return None
    found = assignments(_texts("coredump.conf"), "Coredump")
    limits = (size(found.get(name), _COREDUMP_LIMIT) for name in ("ProcessSizeMax", "ExternalSizeMax"))
    return Coredump(found.get("Storage") or "external", *limits)


def journal_persistent() -> bool:
    """Whether journald writes to the disk: what it is told, else whether the directory for that is there."""
    told = assignments(_texts("journald.conf"), "Journal").get("Storage")
    if told in ("volatile", "none"):
        return False
    if not os.path.exists("/run/systemd/journal/socket"):
        raise FileNotFoundError
    here = Path("/etc/machine-id").read_text().strip()
    return Path("/var/log/journal", here).exists()


def disk(path: str) -> Disk:
    """The file system that a path is on, or will be on once it is there."""
    there = next(parent for parent in (Path(path), *Path(path).parents) if parent.exists())
    found = os.statvfs(there)
    return Disk(path, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def family() -> Family:
    """The family of this machine's distribution."""
    try:
        return family_in(Path("/etc/os-release").read_text(errors="replace"))
    except OSError:
        return Family.OTHER


def family_in(os_release: str) -> Family:
    """The family that the text of an os-release(5) names."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    ids = set(" ".join(values.get(name, "").strip("\"'") for name in ("ID", "ID_LIKE")).split())
    if ids & _DEBIAN:
        return Family.DEBIAN
    return Family.RHEL if ids & _RHEL else Family.OTHER


def _texts(name: str) -> Iterator[str]:
    """A configuration file of systemd and its drop-ins, as systemd.syntax(7) orders and overrides them."""
    main = next((path for place in _CONFIGURED_IN[::-1] if (path := Path(place, name)).exists()), None)
    drop_ins: dict[str, Path] = {}
    for place in _CONFIGURED_IN:
        drop_ins |= {path.name: path for path in Path(place, f"{name}.d").glob("*.conf")}
    for path in [*([main] if main else []), *(drop_ins[key] for key in sorted(drop_ins))]:
        yield path.read_text(errors="replace")
