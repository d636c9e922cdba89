"""Stores with many crashes, and astbtd installed as on a machine, for benchmarks."""

import json
import shutil
import site
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from astbtd.diagnosis.signature import rules_version
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import RECORD_FILE, REPORT_FILE, CrashSignature, Section
from astbtd.store.store import Store
from tests.support.builders import crash, signature_of

_EVERY = 5  # minutes between two crashes: 100,000 are made in a year, and none is too old for retention
_BUGS = 50
_SOURCES = Path(__file__).parents[2]
_SCRIPT = "from astbtd.cli.main import command\n\ncommand()\n"


def fill(store: Store, crashes: int) -> None:
    """Write so many crashes to a store without syncing. The newest is some minutes old."""
    store.prepare()
    store.mark_initialized()
    (store.incoming / "rules").write_text(f"{rules_version()}\n")  # all signatures are by the current rules
    now = (time.time() - crash().crashed_at.timestamp()) / 60
    with store.collected.path.open("w") as collected:
        for index in range(crashes):
            identity = f"{index:08x}{'0' * 24}"
            at, bug = now - (crashes - index) * _EVERY, f"{index % _BUGS:012x}"
            one = crash(at, pid=index + 1, signature=bug, identity=identity)
            number = CrashSignature(signature_of(one).id, signature_of(one).text, index // _BUGS + 1, one.crashed_at)
            directory = store.directory(one.id)
            directory.mkdir()
            (directory / RECORD_FILE).write_text(json.dumps(to_plain(replace(one, signature=number)), indent=2) + "\n")
            (directory / REPORT_FILE).write_text(f"report of {one.id}\n")
            (directory / Section.BACKTRACE).write_text("#0  0x0 in crash () at crash.c:1\n" * 100)
            collected.write(f"{identity}\n")
    store.update_latest()


def installed(directory: Path) -> tuple[list[str], list[str]]:
    """Install as packaging/install does. Return the commands that start Python and astbtd."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", "--without-pip", directory], check=True)
    (packages,) = directory.glob("lib/python3*/site-packages")
    shutil.copytree(_SOURCES / "astbtd", packages / "astbtd", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "libraries.pth").write_text(f"{site.getsitepackages()[0]}\n")
    (directory / "astbtd").write_text(_SCRIPT)
    python = [str(directory / "bin" / "python3"), "-I"]
    subprocess.run([*python, "-m", "compileall", "-q", packages / "astbtd"], check=True)
    return python, [*python, str(directory / "astbtd")]
