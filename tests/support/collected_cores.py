"""Stores a real core the way each collector does, complete from the moment it has its name."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from astbtd.claims.hard_links import OpenedDirectory, link_descriptor
from astbtd.elf import core_notes
from tests.support.packed import COMPRESS, FIELDS, report

BOOT = "0f" * 16


def write_as_systemd(core: Path, descriptor: int) -> str:
    """Write a core as systemd-coredump does, compressed and with attributes; return the name for the file."""
    died, pid = int(core.stat().st_mtime), str(pid_of(core))
    with open(descriptor, "wb", closefd=False) as file:
        file.write(COMPRESS["zst"](core.read_bytes()))
    for field, value in {"pid": pid, "uid": "0", "signal": "11", "timestamp": f"{died}000000"}.items():
        os.setxattr(descriptor, f"user.coredump.{field}", value.encode())
    return f"core.asterisk.0.{BOOT}.{pid}.{died}000000.zst"


def keep_as_systemd(core: Path, directory: Path) -> Path:
    """Store a core as systemd-coredump does: created without a name (O_TMPFILE), linked when it is complete."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
    with OpenedDirectory(str(directory)) as opened:
        name = write_as_systemd(core, descriptor)
        link_descriptor(descriptor, opened, name)
    os.close(descriptor)
    return directory / name


def keep_as_systemd_elsewhere(core: Path, directory: Path) -> Path:
    """Do the same on a file system without O_TMPFILE: the file has another name until it is complete."""
    progress = directory / f".#core.asterisk.0.{BOOT}.1.2.zst0a1b2c3d4e5f6789"
    descriptor = os.open(progress, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    name = write_as_systemd(core, descriptor)
    os.close(descriptor)
    return progress.rename(directory / name)


def keep_as_apport(core: Path, directory: Path) -> Path:
    """Store a core as apport does: in a report with mode 0 until it is complete."""
    path = directory / "_usr_sbin_asterisk.0.crash"
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(core.stat().st_mtime))
    path.touch(mode=0)
    path.write_bytes(report(core.read_bytes(), {**FIELDS, "Date": date}))
    path.chmod(0o640)
    return path


def keep_as_abrt(core: Path, directory: Path) -> Path:
    """Store a core as ABRT does: in a directory that is renamed when it is complete."""
    new = directory / "ccpp-2026-11-22-12:00:00-1.new"
    new.mkdir(mode=0o750)
    (new / "time").write_text(str(int(core.stat().st_mtime)))
    (new / "cmdline").write_text("asterisk segv")
    (new / "coredump").write_bytes(core.read_bytes())
    return new.rename(new.with_suffix("")) / "coredump"


def pid_of(core: Path) -> int:
    """Return the pid in a core of the test programs."""
    with core.open("rb") as file:
        return core_notes.read_facts(file.fileno()).process.pid or 0


KEEP_AS: dict[str, Callable[[Path, Path], Path]] = {
    "systemd-coredump": keep_as_systemd,
    "apport": keep_as_apport,
    "abrt": keep_as_abrt,
}
"""How each registered collector stores a core, by its name."""
