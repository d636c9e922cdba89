"""Start-up: CPU time of the commands and the daemon with 10,000 crashes, compared with the start of Python alone."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from astbtd.store.store import Store
from tests.bench.figures import Theme
from tests.bench.filled_store import fill, installed
from tests.bench.usage import memory, run, snapshot
from tests.support.harness import daemon, scratch_directory

CRASHES = 10_000
_ROUNDS = 9
_BARE = "bare Python"
_QUICK = {"--help": "≤ 4", "list --limit 20": "≤ 6", "list --limit 20 --json": "", "show": ""}
_OF_ALL = {"list": "", "top": "≤ 1 s", "prune --dry-run": "≤ 1 s"}


def measure() -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme(f"Start-up, {CRASHES:,} crashes", [])
    with scratch_directory() as directory:
        python, astbtd = installed(directory / "installed")
        store = directory / "store"
        fill(Store(store), CRASHES)
        verbs = {verb: [*astbtd, "--store", str(store), *verb.split()] for verb in (*_QUICK, *_OF_ALL)}
        cpu = _rounds({_BARE: [*python, "-c", "pass"], **verbs})
        theme.add(f"CPU of a {_BARE}", statistics.median(cpu[_BARE]), "s")
        for verb, wanted in _QUICK.items():
            theme.compare(f"CPU of `{verb}`", cpu[verb], "s", (_BARE, cpu[_BARE]), wanted)
        for verb, wanted in _OF_ALL.items():
            theme.add(f"CPU of `{verb}`", statistics.median(cpu[verb]), "s", wanted)
        _start(theme, directory)
    return theme


def _start(theme: Theme, directory: Path) -> None:
    with daemon(directory, {}) as running:
        started = time.monotonic()
        running.start()
        theme.add("daemon ready, wall", time.monotonic() - started, "s", "≤ 2 s")
        running.wait_until(lambda: "10000 crashes" in running.manager.status, "the store to be counted")
        theme.add("daemon ready and the store counted, CPU", snapshot(running.process.pid).own, "s")
        theme.add("resident set, the store counted", memory(running.process.pid, "VmRSS") / 2**20, "MiB", "≤ 32 MiB")
        running.stop()


def _rounds(commands: Mapping[str, list[str]]) -> dict[str, list[float]]:
    """Return the CPU seconds of each command in each round."""
    rounds = [{name: run(argv).cpu for name, argv in commands.items()} for _ in range(_ROUNDS)]
    return {name: [each[name] for each in rounds] for name in commands}
