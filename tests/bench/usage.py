"""Measures what programs use: wall time, CPU time, memory and wake-ups."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
"""The unit of CPU times in /proc, per second."""

_CPU_CLOCK = 2  # combined with a process id: the clock of all its threads, including ended ones (posix-timers.h)


@dataclass(frozen=True)
class Usage:
    """The use of a program and its children: seconds, and the largest resident set of any of them in bytes."""

    wall: float
    cpu: float
    peak: int

    def __add__(self, other: "Usage") -> "Usage":
        """Return the use of two programs that ran one after the other."""
        return Usage(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def run(argv: Sequence[str | Path], environment: Mapping[str, str] | None = None, status: int = 0) -> Usage:
    """Run a program and measure it. Raise RuntimeError if its exit status is not `status`."""
    started = time.monotonic()
    with subprocess.Popen(
        [*map(str, argv)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    ) as process:
        _, ended, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise RuntimeError(f"{argv} ended with {process.returncode}")
    return Usage(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)


_TIMED_GDB = """#!/bin/sh
# The last line of the log of this gdb is what it used.
exec /usr/bin/time --format '%U %S %M' gdb "$@"
"""


class TimedGdb:
    """A gdb that measures each of its runs."""

    @staticmethod
    def create(directory: Path) -> Path:
        """Write the program to `directory`, which the user of gdb must be able to search."""
        program = directory / "gdb"
        program.write_text(_TIMED_GDB)
        program.chmod(0o755)
        return program

    @staticmethod
    def read_usage(log: Path) -> Usage:
        """Return the use of the run with this log. Its wall time is not measured."""
        user, system, peak = log.read_text(errors="replace").splitlines()[-1].split()
        return Usage(0.0, float(user) + float(system), int(peak) << 10)


@dataclass(frozen=True)
class Snapshot:
    """What a running process has used so far: CPU seconds of its threads, its main thread, and its ended children."""

    own: float
    main: float
    children: float
    wakeups: int

    def __sub__(self, earlier: "Snapshot") -> "Snapshot":
        """Return the use between two snapshots."""
        return Snapshot(
            self.own - earlier.own,
            self.main - earlier.main,
            self.children - earlier.children,
            self.wakeups - earlier.wakeups,
        )


def snapshot(pid: int) -> Snapshot:
    """Return the use of a process so far. The resolution for its children is a hundredth of a second."""
    tasks = Path(f"/proc/{pid}/task")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    wakeups = sum(_voluntary_switches(task) for task in tasks.iterdir())
    return Snapshot(
        own=time.clock_gettime(~pid << 3 | _CPU_CLOCK),
        main=int((tasks / str(pid) / "schedstat").read_text().split()[0]) / 1e9,
        children=(int(fields[13]) + int(fields[14])) / TICK,
        wakeups=wakeups,
    )


def memory(pid: int, field: str) -> int:
    """Return `VmRSS` or `VmHWM` of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"\n{field}:")[2].split()[0]) << 10


def _voluntary_switches(task: Path) -> int:
    return int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
