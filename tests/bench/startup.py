"""Start-up: CPU time of the commands and the daemon with 10,000 crashes, compared with the start of Python alone."""

import json
import shutil
import site
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from astbtd.lib.serialization import to_plain
from astbtd.model.crash import RECORD_FILE, REPORT_FILE, CrashSignature, Section
from astbtd.store.store import Store
from tests.bench.figures import Theme
from tests.bench.usage import memory, run, snapshot
from tests.support.builders import crash, signature_of
from tests.support.harness import daemon, scratch_directory

CRASHES = 10_000
_ROUNDS = 9
_EVERY = 30  # minutes between two crashes
_BUGS = 50
_BARE = "bare Python"
_QUICK = {"--help": "≤ 4", "list --limit 20": "≤ 6", "list --limit 20 --json": "", "show": ""}
_OF_ALL = {"list": "", "top": "≤ 1 s", "prune --dry-run": "≤ 1 s"}
_SOURCES = Path(__file__).parents[2]
_SCRIPT = "from astbtd.cli.main import command\n\ncommand()\n"


def measure() -> Theme:
    """Run the benchmark and return its figures."""
    theme = Theme(f"Start-up, {CRASHES:,} crashes", [])
    with scratch_directory() as directory:
        python, astbtd = _installed(directory / "installed")
        store = directory / "store"
        _fill(Store(store))
        verbs = {verb: [*astbtd, "--store", str(store), *verb.split()] for verb in (*_QUICK, *_OF_ALL)}
        cpu = _rounds({_BARE: [*python, "-c", "pass"], **verbs})
        theme.add(f"CPU of a {_BARE}", statistics.median(cpu[_BARE]), "s")
        for verb, wanted in _QUICK.items():
            theme.compare(f"CPU of `{verb}`", cpu[verb], "s", (_BARE, cpu[_BARE]), wanted)
        for verb, wanted in _OF_ALL.items():
            theme.add(f"CPU of `{verb}`", statistics.median(cpu[verb]), "s", wanted)
        _start(theme, directory)
    return theme


def _installed(directory: Path) -> tuple[list[str], list[str]]:
    """Install as packaging/install does. Return the commands that start Python and astbtd."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", "--without-pip", directory], check=True)
    (packages,) = directory.glob("lib/python3*/site-packages")
    shutil.copytree(_SOURCES / "astbtd", packages / "astbtd", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "libraries.pth").write_text(f"{site.getsitepackages()[0]}\n")
    (directory / "astbtd").write_text(_SCRIPT)
    python = [str(directory / "bin" / "python3"), "-I"]
    subprocess.run([*python, "-m", "compileall", "-q", packages / "astbtd"], check=True)
    return python, [*python, str(directory / "astbtd")]


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


def _fill(store: Store) -> None:
    """Write the crashes to a store without syncing. The newest is some minutes old."""
    store.prepare()
    store.mark_initialized()
    now = (time.time() - crash().crashed_at.timestamp()) / 60
    for index in range(CRASHES):
        one = crash(now - (CRASHES - index) * _EVERY, pid=index + 1, signature=f"{index % _BUGS:012x}")
        number = CrashSignature(signature_of(one).id, signature_of(one).text, index // _BUGS + 1, one.crashed_at)
        directory = store.directory(one.id)
        directory.mkdir()
        (directory / RECORD_FILE).write_text(json.dumps(to_plain(replace(one, signature=number)), indent=2) + "\n")
        (directory / REPORT_FILE).write_text(f"report of {one.id}\n")
        (directory / Section.BACKTRACE).write_text("#0  0x0 in crash () at crash.c:1\n" * 100)
    store.update_latest()
