"""The directory that safe_asterisk moves cores to, from its environment and its scripts."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.asterisk import asterisk_processes
from astbtd.asterisk.safe_asterisk import find_dump_drops


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    (tmp_path / "startup.d").mkdir()
    return tmp_path / "asterisk.conf"


@contextmanager
def running_script(directory: Path, name: str, **environment: str) -> Iterator[int]:
    """Run a process whose command line is `INTERPRETER name`; yield its pid once the kernel shows that."""
    script = directory / name
    script.write_text("import sys; print('started', flush=True); sys.stdin.read()\n")
    process = subprocess.Popen(
        [sys.executable, script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process.pid
        process.terminate()


def drops_with(pid: int, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the result when `pid` is the only process of the machine."""
    monkeypatch.setattr(asterisk_processes, "all_pids", lambda: iter((pid,)))
    return find_dump_drops(configuration)


def test_without_safe_asterisk_there_is_no_directory(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_script(tmp_path, "another_script", DUMPDROP="/cores") as pid:
        assert drops_with(pid, configuration, monkeypatch) == ()


@pytest.mark.parametrize(("environment", "expected"), [({}, "/tmp"), ({"DUMPDROP": "/cores"}, "/cores")])
def test_the_directory_is_taken_from_the_environment(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    with running_script(tmp_path, "safe_asterisk", **environment) as pid:
        assert drops_with(pid, configuration, monkeypatch) == (expected,)


def test_a_relative_directory_in_the_environment_is_ignored(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_script(tmp_path, "safe_asterisk", DUMPDROP="cores") as pid:
        assert drops_with(pid, configuration, monkeypatch) == ("/tmp",)


def test_the_last_assignment_in_the_scripts_overrides_the_environment(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = configuration.parent / "startup.d"
    (scripts / "10-first.sh").write_text("DUMPDROP=/first\n")
    (scripts / "20-last.sh").write_text("#!/bin/sh\nexport DUMPDROP='/last' # a comment\n")
    (scripts / "30-ignored.conf").write_text("DUMPDROP=/ignored\n")

    with running_script(tmp_path, "safe_asterisk", DUMPDROP="/cores") as pid:
        assert drops_with(pid, configuration, monkeypatch) == ("/last",)


def test_assignments_that_need_evaluation_are_ignored(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (configuration.parent / "startup.d" / "evaluated.sh").write_text("DUMPDROP=/srv/$(hostname)\nDUMPDROP=$HOME\n")

    with running_script(tmp_path, "safe_asterisk") as pid:
        assert drops_with(pid, configuration, monkeypatch) == ("/tmp",)
