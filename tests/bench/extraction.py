"""Extraction: all sections of a crash against the documentation's command, and against six starts of gdb."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astbtd.model import Section
from tests.bench.cores import Subject, another
from tests.bench.figures import Theme
from tests.bench.usage import Snapshot, TimedGdb, Usage, run, snapshot
from tests.harness import RunningDaemon, daemon, scratch_directory

_ROUNDS = 5
_DOCUMENTED = ("-ex", "bt full", "-ex", "thread apply all bt", "--batch")
_SIX = (  # what ast_coredumper starts a gdb for: a file each, and one for the version
    ("-ex", "thread apply 1 bt full"),
    ("-ex", "thread apply all bt"),
    ("-ex", "thread apply all bt full"),
    ("-ex", "p $_siginfo"),
    ("-ex", "p $_siginfo"),
    ("-ex", "p $_siginfo"),
)


@dataclass(frozen=True)
class _Collected:
    """What one core cost, from its appearance to its record."""

    wall: float
    used: Snapshot
    gdb_wall: float
    gdb: Usage


def measure(subject: Subject) -> Theme:
    """The figures for one core; in rounds, so that a machine that gets slower meanwhile gets slower for all."""
    theme = Theme(f"Extraction, {subject.name}", [])
    with scratch_directory() as directory, _watching(subject, directory) as running:
        first = _one(running, subject, directory, 0)
        rounds = [
            (_documented(subject), _six(subject), _one(running, subject, directory, number + 1))
            for number in range(_ROUNDS)
        ]
    documented, six = _median([each[0] for each in rounds]), _median([each[1] for each in rounds])
    later = [each[2] for each in rounds]
    names = ("documentation's command", "ast_coredumper's six starts")
    wall = statistics.median(one.wall for one in later)
    cpu = statistics.median(one.used.own + one.used.children for one in later)
    theme.compare("CPU, all sections to record", cpu, "s", (names[0], documented.cpu), "≤ 0.6, aim 0.45")
    theme.compare("wall, the same", wall, "s", (names[0], documented.wall), "≤ 0.6, aim 0.45")
    theme.compare("CPU, the same", cpu, "s", (names[1], six.cpu))
    theme.compare("wall, the same", wall, "s", (names[1], six.wall))
    theme.compare("CPU of the first crash", first.used.own + first.used.children, "s", (names[0], documented.cpu))
    gdb = statistics.median(one.gdb.cpu for one in later)
    theme.compare("CPU of gdb alone", gdb, "s", (names[0], documented.cpu))
    peak = statistics.median(one.gdb.peak for one in later)
    theme.compare("peak memory of gdb", peak / 2**20, "MiB", (names[0], documented.peak / 2**20), "≤ 0.6")
    beyond = statistics.median(one.wall - one.gdb_wall for one in later)
    theme.add("completion to record, beyond gdb", beyond, "s", "≤ 0.15 s")
    return theme


def documented_command(subject: Subject) -> list[str]:
    """The documentation's command for a core."""
    return ["gdb", "-se", str(subject.program), *_DOCUMENTED, "-c", str(subject.core)]


def _documented(subject: Subject) -> Usage:
    return run(documented_command(subject))


def _six(subject: Subject) -> Usage:
    start = ["gdb", "--batch", "-q", "-se", str(subject.program), "-c", str(subject.core)]
    return sum((run([*start, *what]) for what in _SIX), Usage(0, 0, 0))


def _median(uses: list[Usage]) -> Usage:
    return Usage(
        statistics.median(use.wall for use in uses),
        statistics.median(use.cpu for use in uses),
        int(statistics.median(use.peak for use in uses)),
    )


@contextmanager
def _watching(subject: Subject, directory: Path) -> Iterator[RunningDaemon]:
    """A daemon that takes cores from `directory`/spool."""
    spool = directory / "spool"
    spool.mkdir()
    settings = {
        "asterisk": {"executables": [subject.program.name]},
        "watch": {"directories": [str(spool)]},
        "cores": {"action": "delete"},  # compression comes after the record
        "gdb": {"program": str(TimedGdb.made(directory))},
    }
    with daemon(directory, settings) as running:
        running.start()
        yield running


def _one(running: RunningDaemon, subject: Subject, directory: Path, number: int) -> _Collected:
    waiting = another(subject.core, directory / "core", number)
    before = snapshot(running.process.pid)
    appeared = time.time()
    waiting.rename(directory / "spool" / "core")
    recorded = max(running.wait_for_crashes(number + 1), key=lambda crash: crash.collected_at)
    committed = (running.store.root / "crashes").stat().st_mtime
    return _Collected(
        wall=committed - appeared,
        used=snapshot(running.process.pid) - before,
        gdb_wall=recorded.extraction.seconds,
        gdb=TimedGdb.use(running.store.directory(recorded.id) / Section.LOG),
    )
