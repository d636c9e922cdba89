"""Growth: what ten times as many crashes cost, up to the number of records that is kept by default."""

import time
from collections.abc import Sequence
from pathlib import Path

from astbtd.store.store import Store
from tests.bench.figures import Theme
from tests.bench.filled_store import fill, installed
from tests.bench.usage import memory, run, snapshot
from tests.support.builders import DeadProcess
from tests.support.harness import daemon, scratch_directory

FEW, MANY = 10_000, 100_000
_ROUNDS = 9
_READING = {"list --limit 20": "≤ 2", "list --limit 20 --json": "≤ 2", "show": "", "top": "≤ 12"}
_SETTINGS = "retention: {{records: {{count: {count}}}, minimum_free: 0%}}\n"


def measure() -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme(f"Growth, {MANY:,} crashes", [])
    with scratch_directory() as few, scratch_directory() as many:
        _, astbtd = installed(few / "installed")
        for directory, crashes in ((few, FEW), (many, MANY)):
            fill(Store(directory / "store"), crashes)
        for verb, limit in _READING.items():
            rounds = 1 if verb == "top" else _ROUNDS
            commands = [[*astbtd, "--store", str(each / "store"), *verb.split()] for each in (few, many)]
            _compare(theme, f"CPU of `{verb}`", commands, rounds, limit)
        _start(theme, many)
        _prune(theme, astbtd, few, many)
    return theme


def _compare(theme: Theme, name: str, commands: Sequence[Sequence[str]], rounds: int, limit: str) -> None:
    """Add the CPU time of the second command, compared with that of the first one."""
    cpu = [[run(list(argv)).cpu for argv in commands] for _ in range(rounds)]
    few, many = zip(*cpu, strict=True)
    theme.compare(name, many, "s", (f"{FEW:,} crashes", few), limit)


def _start(theme: Theme, directory: Path) -> None:
    spool = directory / "spool"
    spool.mkdir()
    with daemon(directory, {"watch": {"directories": [str(spool)]}, "retention": {"minimum_free": "0%"}}) as running:
        started = time.monotonic()
        running.start()
        theme.add("daemon ready, wall", time.monotonic() - started, "s", "≤ 5 s")
        theme.add("daemon ready, CPU", snapshot(running.process.pid).own, "s")
        theme.add("resident set, ready", memory(running.process.pid, "VmRSS") / 2**20, "MiB", "≤ 45 MiB")
        running.wait_until(lambda: f"{MANY} crashes" in running.manager.status, "the store to be counted")
        running.wait_until_quiet()
        theme.add("daemon ready and the store counted, CPU", snapshot(running.process.pid).own, "s")
        theme.add("highest resident set until then", memory(running.process.pid, "VmHWM") / 2**20, "MiB", "≤ 45 MiB")
        (spool / "core").write_bytes(DeadProcess().core())
        running.wait_until(lambda: "retention removed 1 record" in running.output(), "a record too many to be removed")
        name = "highest resident set, after a crash for which another record was removed"
        theme.add(name, memory(running.process.pid, "VmHWM") / 2**20, "MiB", "≤ 45 MiB")
        running.stop()


def _prune(theme: Theme, astbtd: Sequence[str], few: Path, many: Path) -> None:
    """Measure the plan that removes half of the records, and its removals, per record."""
    for options in (["--dry-run"], []):
        seconds = []
        for directory, crashes in ((few, FEW), (many, MANY)):
            file = directory / "prune.yaml"
            file.write_text(_SETTINGS.format(count=crashes // 2))
            argv = [*astbtd, "--config", str(file), "--store", str(directory / "store"), "prune", "--json", *options]
            seconds.append(run(argv).cpu / crashes * 1000)
        name = f"CPU of `prune{' --dry-run' if options else ''}` of half of the records, per 1,000 records"
        theme.compare(name, [seconds[1]], "s", (f"{FEW:,} crashes", [seconds[0]]), "≤ 1.5")
