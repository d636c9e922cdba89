"""Between check and use, thousands of times: a core, its directory and what they stand for are exchanged."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.attacks.conftest import (
    ASTERISK,
    ASTERISKS_GROUP,
    SILENT,
    STRANGER,
    VICTIM,
    as_asterisk,
    held_up,
    seen,
    use_gdb,
    write_core,
)
from tests.support.harness import PATIENCE, RunningDaemon, living_asterisk

CORES = 10


@pytest.fixture
def private(scratch: Path) -> Path:
    """Another user's directory, with a core of another Asterisk in it."""
    directory = scratch / "private"
    directory.mkdir(mode=0o755)
    shutil.chown(directory, STRANGER)
    write_core(directory / "core", VICTIM, owner=STRANGER)
    return directory


def decoy(kind: str, target: Path, place: Path) -> None:
    """Something that leads to the target, for the attacker to exchange with his core."""
    if kind == "symbolic link":
        as_asterisk("ln", "-s", target, place)
    elif kind == "hard link":
        os.link(target, place)  # as the asterisk user can where fs.protected_hardlinks is off
    else:
        as_asterisk("mkfifo", place)


@contextmanager
def swapping(programs: Path, one: Path, other: Path) -> Iterator[Callable[[], int]]:
    """Exchanges two names for as long as the context lasts, as the asterisk user; gives how often, afterwards."""
    with subprocess.Popen(
        [programs / "swapper", one, other],
        stdout=subprocess.PIPE,
        text=True,
        user=ASTERISK,
        group=ASTERISKS_GROUP,
        extra_groups=[],
    ) as swapper:
        try:
            yield lambda: int(said)
        finally:
            swapper.terminate()
            said, _ = swapper.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "fifo"])
def test_what_is_exchanged_with_a_core_is_neither_taken_nor_touched(
    running: RunningDaemon, programs: Path, spool: Path, private: Path, kind: str
) -> None:
    victim = private / "core"
    use_gdb(running, spool, SILENT, retention={"cores": {"per_signature": None}})
    running.start()
    exchanged = 0

    for pid in range(1, CORES + 1):
        decoy(kind, victim, spool / "decoy")
        before = seen(victim)
        write_core(spool / "core", pid)
        with swapping(programs, spool / "core", spool / "decoy") as counted:
            running.wait_for_crashes(pid)
        exchanged += counted()
        running.wait_until(lambda: seen(victim) == before, "what was moved out of the way to be back")  # noqa: B023
        for left in spool.iterdir():
            left.unlink()

    assert exchanged > CORES * 100
    assert {crash.process.pid for crash in running.crashes()} == set(range(1, CORES + 1))


def test_what_is_exchanged_with_the_directory_of_a_core_is_neither_taken_nor_touched(
    running: RunningDaemon, programs: Path, spool: Path, private: Path
) -> None:
    before, link = seen(private / "core"), spool.with_name("decoy")
    as_asterisk("ln", "-s", private, link)
    use_gdb(running, spool, SILENT, watch={"directories": [str(spool)], "rescan": "1s"})
    running.start()
    real = os.open(spool, os.O_DIRECTORY)

    with swapping(programs, spool, link) as counted:
        for pid in range(1, CORES + 1):
            running.manager.receive(1.0)
            os.rename(write_core(spool.parent / "made", pid), f"core.{pid}", dst_dir_fd=real)
    os.close(real)
    exchanged = counted()
    if spool.is_symlink():
        as_asterisk(programs / "swapper", spool, link, "1")
    write_core(spool / "core", CORES + 1)
    running.wait_until(lambda: CORES + 1 in {crash.process.pid for crash in running.crashes()}, "the last core")

    assert exchanged > CORES * 100
    assert VICTIM not in {crash.process.pid for crash in running.crashes()}
    assert os.listdir(private) == ["core"]
    assert seen(private / "core") == before


def test_a_core_of_the_same_name_and_inode_number_elsewhere_is_not_removed_in_its_place(
    running: RunningDaemon, scratch: Path
) -> None:
    places = [scratch / "one", scratch / "other"]
    for place in places:
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        cores = [write_core(made_by(place / "spool", ASTERISK) / "core", pid) for pid, place in enumerate(places, 1)]
        assert cores[0].stat().st_ino == cores[1].stat().st_ino
        with held_up(running, cores[0].parent) as gdb_is_started:
            running.start()
            gdb_is_started()
            cores[0].parent.rename(places[0] / "moved")
            (places[0] / "spool").symlink_to(places[1] / "spool")

        assert os.listdir(places[1] / "spool") == ["core"]
        running.stop()
    finally:
        for place in places:
            subprocess.run(["umount", "--lazy", place], check=True)


def made_by(directory: Path, owner: str) -> Path:
    """A directory of somebody's."""
    directory.mkdir()
    shutil.chown(directory, owner)
    return directory


def test_a_link_in_place_of_a_directory_in_which_asterisk_worked_is_not_followed(
    running: RunningDaemon, programs: Path, spool: Path, private: Path
) -> None:
    before = seen(private / "core")
    worked = spool.parent / "worked"
    as_asterisk("mkdir", worked)
    use_gdb(running, spool, SILENT, watch={"directories": [str(spool)], "rescan": "1s"})
    with living_asterisk(programs, worked, user=ASTERISK):
        running.start()
        running.wait_until(lambda: "watching 2 places" in running.manager.status, "the directory to be watched")
    as_asterisk("mv", worked, spool.parent / "moved")
    as_asterisk("ln", "-s", private, worked)
    running.stop()
    running.start()

    write_core(spool / "core", 1)
    assert [crash.process.pid for crash in running.wait_for_crashes(1)] == [1]
    assert os.listdir(private) == ["core"]
    assert seen(private / "core") == before
