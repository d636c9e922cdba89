"""Burst: a hundred cores at once, and extreme cores: huge, many threads, deep recursion, large local variables."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from astbtd.model.crash import Crash, Section
from tests.bench.cores import another
from tests.bench.figures import Theme
from tests.bench.usage import TimedGdb, memory, snapshot
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory

_CORES = 100
_GDB = """#!/bin/sh
# The log of this gdb begins with its start time and ends with its end time.
date +%s.%N >&2
gdb "$@"
date +%s.%N >&2
"""
_EXTREMES = {
    "10 GB, sparse": ("segv", "--untouched", "10240"),
    "2,000 threads": ("segv", "--threads", "2000"),
    "174,000 frames of recursion": ("recurse", "--stack", "8192"),
    "64 MB of locals": ("segv", "--locals", "64", "--stack", "81920"),
}


def measure(programs: Path) -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme("Burst", [])
    _hundred(theme, programs)
    for name, arguments in _EXTREMES.items():
        _extreme(theme, programs, name, arguments)
    return theme


def _hundred(theme: Theme, programs: Path) -> None:
    with scratch_directory() as directory:
        spool, waiting = (directory / name for name in ("spool", "waiting"))
        spool.mkdir()
        waiting.mkdir()
        (directory / "gdb").write_text(_GDB)
        (directory / "gdb").chmod(0o755)
        core = crash(programs, directory, "segv", "--threads", "10")
        cores = [another(core, waiting / f"core.{number}", number) for number in range(_CORES)]
        settings = {"watch": {"directories": [str(spool)]}, "gdb": {"program": str(directory / "gdb")}}
        with daemon(directory, settings) as running:
            running.start()
            started = time.monotonic()
            for path in cores:
                path.rename(spool / path.name)
            recorded = running.wait_for_crashes(_CORES)
            theme.add(f"{_CORES} cores at once, all recorded and kept", time.monotonic() - started, "s")
            theme.add("of them recorded", len(recorded), "", "100")
            theme.add("most gdbs at a time", _most_at_once(_gdbs(running, recorded)), "", "≤ 1")
            processed = sorted(recorded, key=lambda one: one.collected_at)[
                1:
            ]  # the first was claimed before the others existed
            later = [one.crashed_at for one in processed]
            in_order = sum(first >= second for first, second in pairwise(later))
            theme.add("of them processed newest first", in_order + 2, "", "100")
            theme.add("resident set afterwards", memory(running.process.pid, "VmRSS") / 2**20, "MiB", "≤ 32 MiB")


def _gdbs(running: RunningDaemon, recorded: Sequence[Crash]) -> Iterator[tuple[float, float]]:
    """Return the start and the end time of a gdb."""
    for one in recorded:
        lines = (running.store.directory(one.id) / Section.LOG).read_text().splitlines()
        yield float(lines[0]), float(lines[-1])


def _most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many of these time spans overlap."""
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (end, -1)))
    return max(accumulate(step for _, step in changes))


def _extreme(theme: Theme, programs: Path, name: str, arguments: tuple[str, ...]) -> None:
    with scratch_directory() as directory:
        (directory / "spool").mkdir()
        core = crash(programs, directory, *arguments)
        gdb = TimedGdb.create(directory)
        settings = {"watch": {"directories": [str(directory / "spool")]}, "gdb": {"program": str(gdb)}}
        with daemon(directory, settings) as running:
            running.start()
            _collect(theme, running, core, name)


def _collect(theme: Theme, running: RunningDaemon, core: Path, name: str) -> None:
    before = snapshot(running.process.pid)
    started = time.time()
    core.rename(core.parent / "spool" / "core")
    running.wait_until(lambda: any(running.crashes()), f"the core of {name}")
    committed = (running.store.root / "crashes").stat().st_mtime - started
    (recorded,) = running.wait_for_crashes(1)
    used = snapshot(running.process.pid) - before
    theme.add(f"{name}: to record", committed, "s")
    theme.add(f"{name}: CPU, compression included", used.own + used.children, "s")
    theme.add(f"{name}: threads in the text", recorded.diagnosis.threads, "")
    theme.add(f"{name}: frames of the crashed one in the text", recorded.diagnosis.frames, "")
    gdb = TimedGdb.read_usage(running.store.directory(recorded.id) / Section.LOG)
    theme.add(f"{name}: peak of gdb", gdb.peak / 2**20, "MiB")
    theme.add(f"{name}: peak of the daemon", memory(running.process.pid, "VmHWM") / 2**20, "MiB")
