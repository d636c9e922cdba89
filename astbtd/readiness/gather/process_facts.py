"""Reads what /proc shows everyone of a process: limits, ids, size, command line, control group, ancestors."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astbtd.readiness.facts import Credentials, Limit, Process, StartedBy

_PROC = Path("/proc")
_LARGEST = 1 << 20  # bytes of one of its files
_MOST_ANCESTORS = 16
_KIB = 1024


@contextmanager
def opened(pid: int) -> Iterator[int]:
    """The directory of a process, held open: another process with its number is never taken for it."""
    descriptor = os.open(_PROC / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(directory: int, name: str) -> bytes:
    """What is in one of the files of a process."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    with open(descriptor, "rb") as file:
        return file.read(_LARGEST)


def is_contained(directory: int) -> bool:
    """Whether a process has another root directory than we, and so other files under the same names."""
    return not os.path.samestat(os.stat("root", dir_fd=directory), os.stat("/"))


def runs_in_a_container(pid: int) -> bool:
    """The same of a process that is not held open. Raises OSError."""
    with opened(pid) as directory:
        return is_contained(directory)


def process(pid: int) -> Process:
    """The process as everyone may see it. Raises OSError where it has ended."""
    with opened(pid) as directory:
        status = _fields(read(directory, "status"))
        uid = int(status["Uid"].split()[1])
        return Process(
            pid=pid,
            command=tuple(read(directory, "cmdline").rstrip(b"\0").split(b"\0")),
            credentials=_credentials(status, uid),
            core_limit=_core_limit(read(directory, "limits").decode()),
            # proc(5): the files of a process that is not dumpable belong to root
            dumpable=os.stat("status", dir_fd=directory).st_uid == uid,
            resident=_kib(status, "RssAnon", "RssShmem", "VmSwap"),
            writable=_kib(status, "VmData", "VmStk"),
            started=_started(read(directory, "stat")),
        )


def unit_of(pid: int) -> str | None:
    """The service that a process belongs to."""
    with opened(pid) as directory:
        return unit_in(read(directory, "cgroup").decode(errors="replace"))


def unit_in(cgroups: str) -> str | None:
    """The service that the text of a /proc/PID/cgroup names; a user's own manager and sessions are none."""
    paths = [line.split(":", 2)[2] for line in cgroups.splitlines() if line.count(":") >= 2]
    services = [re.findall(r"(?<=/)[^/]+\.service(?=/|$)", path) for path in paths if "/user.slice/" not in f"{path}/"]
    return next((found[-1] for found in services if found), None)


def manager(pid: int, unit: str | None) -> StartedBy:
    """Who started a process, by its ancestors and its unit."""
    words = {os.path.basename(word) for command in _ancestors(pid) for word in command}
    if b"fwconsole" in words or unit == "freepbx.service":
        return StartedBy.FREEPBX
    if b"safe_asterisk" in words:
        return StartedBy.FREEPBX if os.path.exists("/usr/sbin/fwconsole") else StartedBy.SAFE_ASTERISK
    return StartedBy.UNIT if unit else StartedBy.HAND


def _ancestors(pid: int) -> Iterator[list[bytes]]:
    """The first words of the command lines of its parents, as far as they can be read."""
    for _ in range(_MOST_ANCESTORS):
        try:
            with opened(pid) as directory:
                parent = int(_fields(read(directory, "status"))["PPid"])
            if parent <= 1:
                return
            with opened(parent) as directory:
                yield read(directory, "cmdline").split(b"\0")[:3]
        except OSError:
            return
        pid = parent


def _fields(status: bytes) -> dict[str, str]:
    """Lines of a name, a colon and a value; the kernel escapes newlines in a process's name."""
    lines = (line.partition(":") for line in status.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _credentials(status: dict[str, str], uid: int) -> Credentials:
    groups = [status["Gid"].split()[1], *status["Groups"].split()]
    return Credentials(uid, frozenset(map(int, groups)), int(status["CapEff"], 16))


def _core_limit(limits: str) -> Limit:
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    soft, hard = line.split()[4:6]
    return Limit(*(None if value == "unlimited" else int(value) for value in (soft, hard)))


def _kib(status: dict[str, str], *names: str) -> int:
    return sum(int(status[name].split()[0]) * _KIB for name in names if name in status)


def _started(stat: bytes) -> float:
    """proc_pid_stat(5), field 22; the name in parentheses may hold anything, so the last parenthesis counts."""
    ticks = int(stat.rpartition(b")")[2].split()[19])
    booted = next(line for line in (_PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
