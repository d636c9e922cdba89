"""Latency of the PBX: how late a thread with a period of a millisecond wakes up during an extraction.

All of that runs on one CPU, as on a PBX whose other CPUs are busy; what only watches runs on another.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.cores import Subject, another
from tests.bench.extraction import documented_command
from tests.bench.figures import Theme
from tests.support.cgroups import cpu_cgroup
from tests.support.harness import daemon, scratch_directory, unit_settings

_TICK = 1_000_000  # nanoseconds
_CORES = 10
_QUIET = 5  # seconds


@dataclass(frozen=True)
class _Lateness:
    """Return the 99th percentile of the lateness in milliseconds, and how many ticks were more than a period late."""

    p99: float
    late: int


def measure(subject: Subject) -> Theme:
    """Run the benchmark and return its figures: without control groups, and in those of services."""
    theme = Theme(f"The PBX's view, {subject.name}", [])
    everywhere = os.sched_getaffinity(0)
    on_cpu = ("taskset", "--cpu-list", str(min(everywhere)))
    os.sched_setaffinity(0, everywhere - {min(everywhere)} or everywhere)
    try:
        quiet = _beside(on_cpu, lambda: time.sleep(_QUIET))
        theme.add(f"beside nothing, {_QUIET} s: p99 of lateness", quiet.p99, "ms")
        theme.add(f"beside nothing, {_QUIET} s: ticks late by more than 1 ms", quiet.late, "")
        _compare(theme, "", [on_cpu] * 3, subject)
        (weight,) = unit_settings("CPUWeight")
        with cpu_cgroup() as pbx, cpu_cgroup() as person, cpu_cgroup(int(weight)) as unit:
            if pbx and person and unit:
                in_groups = [(*group.wrapper, *on_cpu) for group in (pbx, person, unit)]
                _compare(theme, "each in its group, ", in_groups, subject)
    finally:
        os.sched_setaffinity(0, everywhere)
    return theme


def _compare(theme: Theme, where: str, wrappers: Sequence[Sequence[str]], subject: Subject) -> None:
    """Measure beside bare gdb and beside the daemon, and add the figures.

    `wrappers` are the beginnings of the command lines of the probe, of gdb, and of the daemon.
    """
    probe, by_hand, unit = wrappers
    bare = _beside(probe, lambda: _bare(by_hand, subject))
    ours = _ours(probe, unit, subject)
    theme.add(f"{where}beside bare gdb: p99 of lateness", bare.p99, "ms")
    theme.add(f"{where}beside bare gdb: ticks late by more than 1 ms, a core", bare.late / _CORES, "")
    theme.compare(f"{where}beside the daemon: p99 of lateness", [ours.p99], "ms", ("bare gdb", [bare.p99]))
    late = ("bare gdb", [bare.late / _CORES])
    theme.compare(f"{where}beside the daemon: ticks late by more than 1 ms, a core", [ours.late / _CORES], "", late)


def _bare(wrapper: Sequence[str], subject: Subject) -> None:
    for _ in range(_CORES):
        subprocess.run([*wrapper, *documented_command(subject)], capture_output=True, check=True)


def _ours(probe: Sequence[str], wrapper: Sequence[str], subject: Subject) -> _Lateness:
    with scratch_directory() as directory:
        spool = directory / "spool"
        spool.mkdir()
        cores = [another(subject.core, directory / f"core.{number}", number) for number in range(_CORES)]
        settings = {
            "asterisk": {"executables": [subject.program.name]},
            "watch": {"directories": [str(spool)]},
        }
        with daemon(directory, settings) as running:
            (nice,) = unit_settings("Nice")
            running.wrapper = (*wrapper, "nice", f"--adjustment={nice}")
            running.start()
            running.wait_until_quiet()

            def collect() -> None:
                for core in cores:
                    core.rename(spool / core.name)
                running.wait_for_crashes(_CORES)

            return _beside(probe, collect)


def _beside(wrapper: Sequence[str], work: Callable[[], None]) -> _Lateness:
    """Measure the lateness in a separate process while `work` runs."""
    command = [*wrapper, sys.executable, "-m", "tests.bench.latency"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        assert probe.stdout is not None
        probe.stdout.readline()  # wait until it runs
        work()
        p99, late = probe.communicate("stop\n")[0].split()
    return _Lateness(float(p99), int(late))


def tick(stop: threading.Event) -> list[int]:
    """Wake up every millisecond until told to stop. Return the lateness of each wake-up in nanoseconds."""
    late = []
    due = time.monotonic_ns()
    while not stop.is_set():
        due += _TICK
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        now = time.monotonic_ns()
        late.append(now - due)
        due = max(due, now - _TICK)
    return late


def _probe() -> None:
    stop = threading.Event()
    results: list[int] = []
    ticking = threading.Thread(target=lambda: results.extend(tick(stop)))
    ticking.start()
    sys.stdout.write("ticks\n")
    sys.stdout.flush()
    sys.stdin.readline()
    stop.set()
    ticking.join()
    results.sort()
    sys.stdout.write(f"{results[len(results) * 99 // 100] / 1e6} {sum(late > _TICK for late in results)}\n")


if __name__ == "__main__":
    _probe()
