"""Renames: what it costs to follow cores that are renamed while very many others are renamed as well."""

from functools import partial
from pathlib import Path

from astbtd.model.crash import CoreState
from tests.bench.figures import Theme
from tests.bench.usage import snapshot
from tests.support.builders import DeadProcess
from tests.support.fake_gdb import QUICK_GDB, write_program
from tests.support.harness import RunningDaemon, daemon, scratch_directory

_NUMBERS = (100, 400, 1600)
_STEP = 50
_MOST = "≤ 1.5"  # times the CPU per core of the smallest number


def measure() -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme("Renames", [])
    few, *more = _NUMBERS
    before = _cpu_per_core(few)
    theme.add(f"CPU per core, {few} cores renamed at once", before * 1000, "ms")
    for number in more:
        theme.compare(
            f"CPU per core, {number:,} cores renamed at once",
            [_cpu_per_core(number) * 1000],
            "ms",
            (f"{few} cores", [before * 1000]),
            _MOST,
        )
    return theme


def _cpu_per_core(number: int) -> float:
    """Return the CPU time in seconds for each of `number` cores that are renamed while the first ones are processed."""
    with scratch_directory() as directory:
        spool, archive = directory / "spool", directory / "archive"
        spool.mkdir()
        archive.mkdir()
        settings = {
            "watch": {"directories": [str(spool), str(archive)]},
            "cores": {"action": "leave"},
            "crash_loop": {"crashes": 5, "within": "1d"},
            "gdb": {"program": str(write_program(directory / "gdb", QUICK_GDB))},
            "retention": {"minimum_free": "0%"},
        }
        with daemon(directory, settings) as running:
            running.start()
            started = snapshot(running.process.pid).own
            for pid in range(1, number + 1):
                _write_core(spool / f"core.{pid}", pid)
            for pid in range(1, number + 1):
                (spool / f"core.{pid}").rename(archive / f"core.{pid}")
            for part in range(_STEP, number + 1, _STEP):  # each may take as long as a test waits at most
                running.wait_until(partial(_has_recorded, running, part), f"{part} crashes to be recorded")
            running.wait_until(lambda: _left_in(running, archive) == number, "all new names to be recorded")
            used = snapshot(running.process.pid).own - started
            running.stop()
    return used / number


def _has_recorded(running: RunningDaemon, number: int) -> bool:
    return len(running.store.ids()) >= number


def _write_core(path: Path, pid: int) -> None:
    path.write_bytes(DeadProcess(pid=pid, random=pid.to_bytes(16, "big"), returns_to=(16, 32)).core())


def _left_in(running: RunningDaemon, archive: Path) -> int:
    """Return how many records say that the core was left in the archive."""
    cores = [crash.core for crash in running.crashes()]
    return sum(core.state is CoreState.LEFT and Path(core.path).parent == archive for core in cores)
