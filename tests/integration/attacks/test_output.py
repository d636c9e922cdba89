"""Commands of root that write where a user says, in a directory that another user owns and exchanges meanwhile."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.attackers import run_as_asterisk
from tests.support.commands import command_line, run_astbtd
from tests.support.containers.container import wait_until
from tests.support.fake_gdb import write_program
from tests.support.harness import RunningDaemon, crash

WAITING_GDB = """#!/bin/sh
read line <{gate}
exec gdb "$@"
"""


@pytest.fixture
def victim(scratch: Path) -> Path:
    """A directory of root in which nothing may be written or removed."""
    directory = scratch / "victim"
    (directory / "tmp").mkdir(parents=True)
    (directory / "info.txt").write_text("root's")
    return directory


@pytest.fixture
def core(programs: Path, scratch: Path) -> Path:
    """A core of root's program."""
    return crash(programs, scratch, "segv")


def tree(directory: Path) -> list[str]:
    """Return all names below a directory, and the content of files."""
    return sorted(
        f"{path.relative_to(directory)} {path.read_text(errors='replace') if path.is_file() else ''}"
        for path in directory.rglob("*")
    )


def has_copied_core(pid: int) -> bool:
    """Return whether a process has a private copy of a core open, which has no name any more."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(descriptor.readlink()).endswith(".core (deleted)"):
                return True
    return False


@contextmanager
def paused_extraction(running: RunningDaemon, core: Path, output: Path) -> Iterator[None]:
    """Run `extract --output`, and run the block while gdb waits and `output` is open. The command must succeed.

    The core is copied after `output` was opened and checked.
    """
    gate = running.configuration.with_name("gate")
    os.mkfifo(gate)
    gate.chmod(0o644)
    program = write_program(running.configuration.with_name("gdb"), WAITING_GDB.format(gate=gate))
    running.configure({"gdb": {"program": str(program)}})
    command = command_line(running, "extract", str(core), "--output", str(output))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as extraction:
        opened = os.open(gate, os.O_WRONLY)  # waits until gdb reads
        try:
            wait_until(lambda: has_copied_core(extraction.pid), "the core is copied")
            yield
        finally:
            os.write(opened, b"\n")
            os.close(opened)
        _, errors = extraction.communicate()
    assert extraction.returncode == 0, errors


def test_nothing_is_written_through_an_exchanged_output_directory(
    extracting: RunningDaemon, core: Path, spool: Path, victim: Path
) -> None:
    before = tree(victim)
    with paused_extraction(extracting, core, spool / "bt"):
        run_as_asterisk("mv", spool / "bt", spool / "mine")
        run_as_asterisk("ln", "-s", victim, spool / "bt")

    assert tree(victim) == before
    assert {"backtrace.txt", "report.txt", "full.txt"} <= set(os.listdir(spool / "mine"))


@pytest.mark.parametrize("name", ["bt.objects", "bt/objects", "bt/tmp"])
def test_nothing_beside_the_output_files_is_touched(
    extracting: RunningDaemon, core: Path, spool: Path, victim: Path, name: str
) -> None:
    before = tree(victim)
    run_as_asterisk("mkdir", "-p", spool / name)
    run_as_asterisk("ln", "-s", victim / "tmp", spool / name / "tmp")
    run_as_asterisk("ln", "-s", victim, spool / name / "l")
    entries = tree(spool / name)

    done = run_astbtd(extracting, "extract", str(core), "--output", str(spool / "bt"))

    assert done.returncode == 0, done.stderr
    assert tree(spool / name) == entries
    assert tree(victim) == before


def plant_during_extraction(running: RunningDaemon, core: Path, output: Path, target: Path) -> None:
    """Put links to `target` in the place of results while gdb runs."""
    with paused_extraction(running, core, output):
        for planted in ("backtrace.txt", "report.txt", "thread1.txt", "info.txt"):
            run_as_asterisk("ln", "-s", target, output / planted)


def test_files_planted_while_gdb_runs_are_neither_overwritten_nor_followed(
    extracting: RunningDaemon, core: Path, spool: Path, victim: Path
) -> None:
    before = tree(victim)
    run_as_asterisk("mkdir", spool / "bt")
    with pytest.raises(AssertionError, match="File exists"):
        plant_during_extraction(extracting, core, spool / "bt", victim / "info.txt")

    assert tree(victim) == before
    assert all((spool / "bt" / name).is_symlink() for name in ("backtrace.txt", "report.txt"))


def test_a_link_of_another_user_in_place_of_the_output_directory_is_refused(
    extracting: RunningDaemon, core: Path, spool: Path, victim: Path
) -> None:
    before = tree(victim)
    run_as_asterisk("ln", "-s", victim, spool / "bt")
    run_as_asterisk("ln", "-s", victim.parent, spool / "above")

    for output in (spool / "bt", spool / "above" / "victim"):
        done = run_astbtd(extracting, "extract", str(core), "--output", str(output))
        assert done.returncode == 1
        assert "symbolic link" in done.stderr or "symbolic links" in done.stderr

    assert tree(victim) == before


def test_an_output_directory_with_results_is_refused(extracting: RunningDaemon, core: Path, scratch: Path) -> None:
    (scratch / "bt").mkdir()
    (scratch / "bt" / "report.txt").write_text("an earlier one")

    done = run_astbtd(extracting, "extract", str(core), "--output", str(scratch / "bt"))

    assert done.returncode == 1
    assert "already contains report.txt" in done.stderr
    assert tree(scratch / "bt") == ["report.txt an earlier one"]


def test_no_directory_for_the_work_is_left(extracting: RunningDaemon, core: Path, scratch: Path) -> None:
    def working_directories() -> set[str]:
        return {name for name in os.listdir("/var/tmp") if name.startswith("astbtd-")}

    before = working_directories()
    assert run_astbtd(extracting, "extract", str(core), "--output", str(scratch / "bt")).returncode == 0

    assert working_directories() <= before


def test_cores_and_bundles_are_not_written_through_links_of_another_user(
    running: RunningDaemon, programs: Path, spool: Path, victim: Path
) -> None:
    running.start()
    crash(programs, spool, "segv")
    running.wait_for_crashes(1)
    before = tree(victim)
    run_as_asterisk("ln", "-s", victim, spool / "out")
    run_as_asterisk("ln", "-s", victim / "new", spool / "file")

    for verb in ("core", "bundle"):
        for output in (spool / "out" / "new", spool / "file"):
            assert run_astbtd(running, verb, "latest", "--output", str(output)).returncode == 1

    assert tree(victim) == before


@pytest.mark.parametrize("verb", [["fsck"], ["prune"], ["run"], ["pin", "latest"]])
def test_a_store_that_another_user_can_exchange_is_refused(
    extracting: RunningDaemon, spool: Path, verb: list[str]
) -> None:
    run_as_asterisk("mkdir", "-p", spool / "store" / "incoming", spool / "store" / "crashes")
    before = tree(spool)

    done = run_astbtd(extracting, "--store", str(spool / "store"), *verb)

    assert done.returncode == 1
    assert "other users can write" in done.stderr
    assert tree(spool) == before
