"""Reads what /proc shows every user about a process: limits, ids, size, command line, control group, ancestors."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astbtd.lib.boot import time_of_ticks
from astbtd.readiness.facts import Credentials, Limit, Process, StartedBy

_PROC = Path("/proc")
_MAX_FILE_SIZE = 1 << 20  # bytes
_MAX_ANCESTORS = 16
_KIB = 1024


@contextmanager
def open_process(pid: int) -> Iterator[int]:
    """Open the /proc directory of a process. If the pid is reused, the descriptor does not show the new process."""
    descriptor = os.open(_PROC / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(process: int, name: str) -> bytes:
    """Return the content of a file in the /proc directory of a process."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    with open(descriptor, "rb") as file:
        return file.read(_MAX_FILE_SIZE)


def has_other_root(process: int) -> bool:
    """Return True if the root directory of a process is not ours: it is in a container, and paths differ."""
    return not os.path.samestat(os.stat("root", dir_fd=process), os.stat("/"))


def runs_in_container(pid: int) -> bool:
    """Return True if a process has another root directory. Raise OSError."""
    with open_process(pid) as process:
        return has_other_root(process)


def read_process(pid: int) -> Process:
    """Return a process as every user sees it. Raise OSError if it has ended."""
    with open_process(pid) as process:
        status = _parse_status(read_file(process, "status"))
        uid = int(status["Uid"].split()[1])
        return Process(
            pid=pid,
            command=tuple(read_file(process, "cmdline").rstrip(b"\0").split(b"\0")),
            credentials=_parse_credentials(status, uid),
            core_limit=_parse_core_limit(read_file(process, "limits").decode()),
            # proc(5): the files of a process that is not dumpable belong to root
            dumpable=os.stat("status", dir_fd=process).st_uid == uid,
            resident=_sum_kib(status, "RssAnon", "RssShmem", "VmSwap"),
            writable=_sum_kib(status, "VmData", "VmStk"),
            started=_parse_start_time(read_file(process, "stat")),
        )


def read_unit_name(pid: int) -> str | None:
    """Return the name of the service that a process belongs to."""
    with open_process(pid) as process:
        return parse_unit_name(read_file(process, "cgroup").decode(errors="replace"))


def parse_unit_name(cgroups: str) -> str | None:
    """Return the service named in the content of /proc/PID/cgroup; None for user sessions and user services."""
    for line in cgroups.splitlines():
        if line.count(":") < 2:
            continue
        path = line.split(":", 2)[2]
        if "/user.slice/" in f"{path}/":
            continue
        services = re.findall(r"(?<=/)[^/]+\.service(?=/|$)", path)
        if services:
            innermost: str = services[-1]
            return innermost
    return None


def find_starter(pid: int, unit: str | None) -> StartedBy:
    """Determine what started a process, from its ancestors and its unit."""
    programs: set[bytes] = set()
    for command in _ancestor_commands(pid):
        programs.update(os.path.basename(word) for word in command)
    if b"fwconsole" in programs or unit == "freepbx.service":
        return StartedBy.FREEPBX
    if b"safe_asterisk" in programs:
        if os.path.exists("/usr/sbin/fwconsole"):
            return StartedBy.FREEPBX
        return StartedBy.SAFE_ASTERISK
    if unit:
        return StartedBy.UNIT
    return StartedBy.HAND


def _ancestor_commands(pid: int) -> Iterator[list[bytes]]:
    """Yield the first words of the command lines of the ancestors, as far as they can be read."""
    for _ in range(_MAX_ANCESTORS):
        try:
            with open_process(pid) as process:
                parent = int(_parse_status(read_file(process, "status"))["PPid"])
            if parent <= 1:
                return
            with open_process(parent) as process:
                yield read_file(process, "cmdline").split(b"\0")[:3]
        except OSError:
            return
        pid = parent


def _parse_status(status: bytes) -> dict[str, str]:
    """Parse lines of the form `name: value`. The kernel escapes newlines in the name of a process."""
    lines = (line.partition(":") for line in status.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _parse_credentials(status: dict[str, str], uid: int) -> Credentials:
    groups = [status["Gid"].split()[1], *status["Groups"].split()]
    return Credentials(uid, frozenset(int(group) for group in groups), int(status["CapEff"], 16))


def _parse_core_limit(limits: str) -> Limit:
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    soft, hard = line.split()[4:6]
    return Limit(*(None if value == "unlimited" else int(value) for value in (soft, hard)))


def _sum_kib(status: dict[str, str], *names: str) -> int:
    """Return the sum of these values in bytes."""
    return sum(int(status[name].split()[0]) * _KIB for name in names if name in status)


def _parse_start_time(stat: bytes) -> float:
    """Return when a process started: field 22 of proc_pid_stat(5).

    The command name in parentheses may contain anything, so the last parenthesis counts.
    """
    return time_of_ticks(int(stat.rpartition(b")")[2].split()[19]))
