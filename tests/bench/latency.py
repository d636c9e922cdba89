"""The PBX's view: how late a thread of normal priority wakes that ticks every millisecond, beside an extraction.

All runs on one CPU, as on a PBX whose other CPUs are busy.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.cores import Subject, another
from tests.bench.extraction import documented_command
from tests.bench.figures import Theme
from tests.harness import daemon, scratch_directory

_TICK = 1_000_000  # nanoseconds
_CORES = 5


@dataclass(frozen=True)
class _Lateness:
    """How late ticks came, in milliseconds."""

    p99: float
    most: float


def measure(subject: Subject) -> Theme:
    """The figures."""
    theme = Theme(f"The PBX's view, {subject.name}", [])
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        quiet = _beside(lambda: time.sleep(2))
        bare = _beside(lambda: _bare(subject))
        ours = _ours(subject)
    finally:
        os.sched_setaffinity(0, everywhere)
    for name, value in (("nothing", quiet), ("bare gdb", bare)):
        theme.add(f"lateness beside {name}: p99", value.p99, "ms")
        theme.add(f"lateness beside {name}: most", value.most, "ms")
    theme.compare("lateness beside an extraction: p99", ours.p99, "ms", ("bare gdb", bare.p99))
    theme.compare("lateness beside an extraction: most", ours.most, "ms", ("bare gdb", bare.most))
    return theme


def _bare(subject: Subject) -> None:
    for _ in range(_CORES):
        subprocess.run(documented_command(subject), capture_output=True, check=True)


def _ours(subject: Subject) -> _Lateness:
    with scratch_directory() as directory:
        spool = directory / "spool"
        spool.mkdir()
        cores = [another(subject.core, directory / f"core.{number}", number) for number in range(_CORES)]
        settings = {
            "asterisk": {"executables": [subject.program.name]},
            "watch": {"directories": [str(spool)]},
        }
        with daemon(directory, settings) as running:
            running.start()

            def collect() -> None:
                for core in cores:
                    core.rename(spool / core.name)
                running.wait_for_crashes(_CORES)

            return _beside(collect)


def _beside(work: Callable[[], None]) -> _Lateness:
    """The lateness of a probe in a process of its own while `work` is done."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.latency"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as probe:
        assert probe.stdout is not None
        probe.stdout.readline()  # it ticks
        work()
        p99, most = probe.communicate("stop\n")[0].split()
    return _Lateness(float(p99), float(most))


def tick(stop: threading.Event) -> list[int]:
    """Wakes every millisecond until told to stop; returns by how many nanoseconds each time was too late."""
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
    sys.stdout.write(f"{results[len(results) * 99 // 100] / 1e6} {results[-1] / 1e6}\n")


if __name__ == "__main__":
    _probe()
