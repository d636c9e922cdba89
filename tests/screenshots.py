"""Makes pictures of the HTML page: of a usable crash, a deadlock and a hostile crash, on a phone and on a desktop.

    tests/support/isolated-python -m tests.screenshots PROGRAMS DIRECTORY

PROGRAMS is a build of tests/programs with its target pbx. The crashes are real.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.browser import take_picture
from tests.support.commands import run_astbtd
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory
from tests.support.hostile_text import HOSTILE
from tests.support.kernel import cores_in_working_directory

PHONE, DESKTOP = (390, 2400), (1280, 1500)
UNFOLDED = "-unfolded"
TALLER = 2
"""How much taller pictures of unfolded pages are: all frames of the crashed thread are in them."""


def make_pages(running: RunningDaemon, programs: Path, spool: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the page of each record."""
    usable = extract(running, crash(programs / "pbx-22", spool))
    yield "usable", page(running, usable)
    hostile = extract(running, crash(programs, spool, "segv", "--caller", HOSTILE))
    yield "hostile", page(running, hostile)
    command = [str(programs / "asterisk"), "deadlock"]
    with subprocess.Popen(command, cwd=spool, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        captured = run_astbtd(running, "deadlock", "--pid", str(process.pid), "--json")
        process.kill()
    yield "deadlock", page(running, json.loads(captured.stdout)["id"])


def extract(running: RunningDaemon, core: Path) -> str:
    """Store the crash of a core, remove the core, and return the id."""
    done = run_astbtd(running, "extract", "--json", str(core))
    core.unlink()
    return str(json.loads(done.stdout)["id"])


def page(running: RunningDaemon, identity: str) -> str:
    """Return the page of a crash or capture."""
    shown = run_astbtd(running, "show", "--html", identity)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def take_pictures(file: Path, page: str) -> None:
    """Write a page to a file, and beside it its pictures."""
    file.write_text(page)
    taller = TALLER if file.stem.endswith(UNFOLDED) else 1
    for device, (width, height) in (("phone", PHONE), ("desktop", DESKTOP)):
        for scheme in ("light", "dark"):
            picture = file.with_name(f"{file.stem}-{device}-{scheme}.png")
            take_picture(file, picture, width, height * taller, dark=scheme == "dark")
            sys.stdout.write(f"{picture}\n")


def main(programs: Path, directory: Path) -> None:
    """Write the pages and the pictures into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with scratch_directory() as scratch, cores_in_working_directory(), daemon(scratch, {}) as running:
        spool = scratch / "asterisk"
        spool.mkdir()
        for name, text in make_pages(running, programs, spool):
            take_pictures(directory / f"{name}.html", text)
            take_pictures(directory / f"{name}{UNFOLDED}.html", text.replace("<details", "<details open"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
