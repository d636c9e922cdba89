"""Extraction: all sections of a crash, compared with the documented command and with six runs of gdb."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astbtd.model.crash import Section
from tests.bench.cores import Subject, another
from tests.bench.figures import Theme
from tests.bench.usage import Snapshot, TimedGdb, Usage, run, snapshot
from tests.support.harness import RunningDaemon, daemon, scratch_directory

_ROUNDS = 7
_DOCUMENTED = ("-ex", "bt full", "-ex", "thread apply all bt", "--batch")
_SIX = (  # the gdb runs of ast_coredumper: one per file, and one for the version
    ("-ex", "thread apply 1 bt full"),
    ("-ex", "thread apply all bt"),
    ("-ex", "thread apply all bt full"),
    ("-ex", "p $_siginfo"),
    ("-ex", "p $_siginfo"),
    ("-ex", "p $_siginfo"),
)


@dataclass(frozen=True)
class _Collected:
    """Measure one core from its appearance to its record."""

    wall: float
    used: Snapshot
    gdb_wall: float
    gdb: Usage

    @property
    def cpu(self) -> float:
        return self.used.own + self.used.children


def measure(subject: Subject) -> Theme:
    """Measure the extraction of one core."""
    theme = Theme(f"Extraction, {subject.name}", [])
    with scratch_directory() as directory, _watching(subject, directory) as running:
        first = _one(running, subject, directory, 0)
        rounds = [
            (run(documented_command(subject)), _one(running, subject, directory, number + 1), _six(subject))
            for number in range(_ROUNDS)
        ]
    documented, ours, six = zip(*rounds, strict=True)
    wall, cpu = [one.wall for one in ours], [one.cpu for one in ours]
    book, starts = "documentation's command", "ast_coredumper's six starts"
    by_the_book = (book, [use.cpu for use in documented])
    theme.compare("CPU, all sections to record", cpu, "s", by_the_book, "≤ 0.6, aim 0.45")
    theme.compare("wall, the same", wall, "s", (book, [use.wall for use in documented]), "≤ 0.6, aim 0.45")
    theme.compare("CPU, the same", cpu, "s", (starts, [use.cpu for use in six]))
    theme.compare("wall, the same", wall, "s", (starts, [use.wall for use in six]))
    theme.compare("CPU of the first crash", [first.cpu], "s", (book, [documented[0].cpu]))
    theme.compare("CPU of gdb alone", [one.gdb.cpu for one in ours], "s", by_the_book)
    peaks = (book, [use.peak / 2**20 for use in documented])
    theme.compare("peak memory of gdb", [one.gdb.peak / 2**20 for one in ours], "MiB", peaks, "≤ 0.6")
    beyond = statistics.median(one.wall - one.gdb_wall for one in ours)
    theme.add("completion to record, beyond gdb", beyond, "s", "≤ 0.15 s")
    return theme


def documented_command(subject: Subject) -> list[str]:
    """Return the documented gdb command for a core."""
    return ["gdb", "-se", str(subject.program), *_DOCUMENTED, "-c", str(subject.core)]


def _six(subject: Subject) -> Usage:
    start = ["gdb", "--batch", "-q", "-se", str(subject.program), "-c", str(subject.core)]
    return sum((run([*start, *what]) for what in _SIX), Usage(0, 0, 0))


@contextmanager
def _watching(subject: Subject, directory: Path) -> Iterator[RunningDaemon]:
    """Run a daemon that collects cores from `directory`/spool."""
    spool = directory / "spool"
    spool.mkdir()
    settings = {
        "asterisk": {"executables": [subject.program.name]},
        "watch": {"directories": [str(spool)]},
        "cores": {"action": "delete"},  # compression would follow the record
        "gdb": {"program": str(TimedGdb.create(directory))},
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
        gdb=TimedGdb.read_usage(running.store.directory(recorded.id) / Section.LOG),
    )
