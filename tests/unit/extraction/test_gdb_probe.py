"""Whether gdb works at all, without a core."""

import os
import shutil
from pathlib import Path

import pytest

from astbtd.extraction.gdb_probe import GdbCannotStart, probe_gdb, require_working
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib.subprocesses import Finished, never
from astbtd.model.crash import ExtractionOutcome
from astbtd.settings import GdbSettings

pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is missing")

USER = SandboxUser(os.geteuid(), os.getegid(), switched=False)
FAILED = Finished(1, ExtractionOutcome.FAILED, 0.1)


def program(directory: Path, script: str) -> GdbSettings:
    """Return settings that use a shell script in place of gdb."""
    path = directory / "gdb"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return GdbSettings(program=str(path))


@pytest.mark.parametrize(("python", "has_python"), [("astbtd found Python", True), ("not supported", False)])
def test_version_and_python_are_those_that_gdb_prints(tmp_path: Path, python: str, has_python: bool) -> None:
    found = probe_gdb(program(tmp_path, f"echo 'GNU gdb (Debian 13.1-3) 13.1'\necho {python}"), USER)

    assert (found.version, found.python) == ("13.1", has_python)


def test_a_missing_gdb_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(GdbCannotStart, match=r"^gdb cannot start: .*/gdb is not installed$") as raised:
        probe_gdb(GdbSettings(program=str(tmp_path / "gdb")), USER)

    assert raised.value.remedy.startswith("apt install gdb")


def test_a_gdb_that_never_answers_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(GdbCannotStart, match=r"no version \(timeout\)"):
        probe_gdb(program(tmp_path, "exec sleep 1000"), USER, 0.5)


def test_the_reason_is_the_last_line_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(GdbCannotStart, match=r"^gdb cannot start: libpython is missing$"):
        require_working(program(tmp_path, "echo first; echo libpython is missing >&2; exit 127"), USER, FAILED, never)


@pytest.mark.parametrize(
    "failed",
    [
        Finished(-9, ExtractionOutcome.KILLED, 0.1),
        Finished(-9, ExtractionOutcome.TIMEOUT, 0.1),
        Finished(-9, ExtractionOutcome.TOO_MUCH_OUTPUT, 0.1),
    ],
)
def test_a_gdb_that_was_killed_had_started(tmp_path: Path, failed: Finished) -> None:
    require_working(program(tmp_path, f"touch {tmp_path}/run"), USER, failed, never)

    assert not (tmp_path / "run").exists()
