"""An attacker swaps a core or its directory with another file, thousands of times between check and use."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.attackers import (
    ASTERISK,
    ASTERISK_GROUP,
    OTHER_USER,
    VICTIM_PID,
    file_state,
    run_as_asterisk,
    write_core,
)
from tests.support.fake_gdb import QUICK_GDB, paused_gdb, use_gdb
from tests.support.harness import TIMEOUT, RunningDaemon, running_asterisk

CORES = 10


@pytest.fixture
def private(scratch: Path) -> Path:
    """The directory of another user, with a core of another Asterisk in it."""
    directory = scratch / "private"
    directory.mkdir(mode=0o755)
    shutil.chown(directory, OTHER_USER)
    write_core(directory / "core", VICTIM_PID, owner=OTHER_USER)
    return directory


def make_decoy(kind: str, target: Path, path: Path) -> None:
    """Make a file at `path` that leads to the target, to be swapped with a core."""
    if kind == "symbolic link":
        run_as_asterisk("ln", "-s", target, path)
    elif kind == "hard link":
        os.link(target, path)  # the asterisk user can do this if fs.protected_hardlinks is off
    else:
        run_as_asterisk("mkfifo", path)


@contextmanager
def swapping(programs: Path, one: Path, other: Path) -> Iterator[Callable[[], int]]:
    """Swap two names as the asterisk user during a block. Yield a function that returns how often, after the block."""
    with subprocess.Popen(
        [programs / "swapper", one, other],
        stdout=subprocess.PIPE,
        text=True,
        user=ASTERISK,
        group=ASTERISK_GROUP,
        extra_groups=[],
    ) as swapper:
        try:
            yield lambda: int(printed)
        finally:
            swapper.terminate()
            printed, _ = swapper.communicate(timeout=TIMEOUT)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "fifo"])
def test_a_file_swapped_with_a_core_is_neither_claimed_nor_changed(
    running: RunningDaemon, programs: Path, spool: Path, private: Path, kind: str
) -> None:
    victim = private / "core"
    use_gdb(running, spool, QUICK_GDB, retention={"cores": {"per_signature": None}})
    running.start()
    swaps = 0

    for pid in range(1, CORES + 1):
        make_decoy(kind, victim, spool / "decoy")
        before = file_state(victim)
        write_core(spool / "core", pid)
        with swapping(programs, spool / "core", spool / "decoy") as count_swaps:
            running.wait_for_crashes(pid)
        swaps += count_swaps()
        running.wait_until(lambda: file_state(victim) == before, "the swapped file to be back in its place")  # noqa: B023
        for left in spool.iterdir():
            left.unlink()

    assert swaps > CORES * 100
    assert {crash.process.pid for crash in running.crashes()} == set(range(1, CORES + 1))


def test_a_directory_swapped_with_that_of_a_core_is_neither_read_nor_changed(
    running: RunningDaemon, programs: Path, spool: Path, private: Path
) -> None:
    before, link = file_state(private / "core"), spool.with_name("decoy")
    run_as_asterisk("ln", "-s", private, link)
    use_gdb(running, spool, QUICK_GDB, watch={"directories": [str(spool)], "rescan": "1s"})
    running.start()
    real = os.open(spool, os.O_DIRECTORY)

    with swapping(programs, spool, link) as count_swaps:
        for pid in range(1, CORES + 1):
            running.manager.receive(1.0)
            os.rename(write_core(spool.parent / "made", pid), f"core.{pid}", dst_dir_fd=real)
    os.close(real)
    swaps = count_swaps()
    if spool.is_symlink():
        run_as_asterisk(programs / "swapper", spool, link, "1")
    write_core(spool / "core", CORES + 1)
    running.wait_until(lambda: CORES + 1 in {crash.process.pid for crash in running.crashes()}, "the last core")

    assert swaps > CORES * 100
    assert VICTIM_PID not in {crash.process.pid for crash in running.crashes()}
    assert os.listdir(private) == ["core"]
    assert file_state(private / "core") == before


def test_a_core_with_the_same_name_and_inode_number_on_another_disk_is_not_removed(
    running: RunningDaemon, scratch: Path
) -> None:
    disks = [scratch / "one", scratch / "other"]
    for disk in disks:
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)
    try:
        cores = [
            write_core(owned_directory(disk / "spool", ASTERISK) / "core", pid) for pid, disk in enumerate(disks, 1)
        ]
        assert cores[0].stat().st_ino == cores[1].stat().st_ino
        with paused_gdb(running, cores[0].parent) as wait_for_gdb:
            running.start()
            wait_for_gdb()
            cores[0].parent.rename(disks[0] / "moved")
            (disks[0] / "spool").symlink_to(disks[1] / "spool")

        assert os.listdir(disks[1] / "spool") == ["core"]
        running.stop()
    finally:
        for disk in disks:
            subprocess.run(["umount", "--lazy", disk], check=True)


def owned_directory(directory: Path, owner: str) -> Path:
    """Make a directory that belongs to `owner`."""
    directory.mkdir()
    shutil.chown(directory, owner)
    return directory


def test_a_link_in_place_of_a_former_working_directory_is_not_followed(
    running: RunningDaemon, programs: Path, spool: Path, private: Path
) -> None:
    before = file_state(private / "core")
    worked = spool.parent / "worked"
    run_as_asterisk("mkdir", worked)
    use_gdb(running, spool, QUICK_GDB, watch={"directories": [str(spool)], "rescan": "1s"})
    with running_asterisk(programs, worked, user=ASTERISK):
        running.start()
        running.wait_until(lambda: "watching 2 directories" in running.manager.status, "the directory to be watched")
    run_as_asterisk("mv", worked, spool.parent / "moved")
    run_as_asterisk("ln", "-s", private, worked)
    running.stop()
    running.start()

    write_core(spool / "core", 1)
    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [1]
    assert os.listdir(private) == ["core"]
    assert file_state(private / "core") == before
