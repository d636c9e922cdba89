"""Between check and use, thousands of times: a core, its directory and what they stand for are exchanged."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from astbtd.model import CoreState
from tests.harness import PATIENCE, RunningDaemon, living_asterisk

from .conftest import (
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

CORES = 20
EXCHANGES = 4000
"""So many of each core."""


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


def swap(programs: Path, one: Path, other: Path) -> "subprocess.Popen[str]":
    """Exchanges two names from now on, as the asterisk user."""
    return subprocess.Popen(
        [programs / "swapper", str(EXCHANGES), one, other],
        stdout=subprocess.PIPE,
        text=True,
        user=ASTERISK,
        group=ASTERISKS_GROUP,
        extra_groups=[],
    )


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "fifo"])
def test_what_is_exchanged_with_a_core_is_neither_taken_nor_touched(
    running: RunningDaemon, programs: Path, spool: Path, private: Path, kind: str
) -> None:
    victim = private / "core"
    decoy(kind, victim, spool / "decoy")
    before = seen(victim)
    use_gdb(running, spool, SILENT, retention={"cores": {"per_signature": None}})
    running.start()
    exchanged = 0

    for pid in range(1, CORES + 1):
        write_core(spool / "core", pid)
        swapper = swap(programs, spool / "core", spool / "decoy")
        exchanged += int(swapper.communicate(timeout=PATIENCE)[0])
        running.wait_for_crashes(pid)

    assert exchanged > 1000
    assert {crash.process.pid for crash in running.crashes()} == set(range(1, CORES + 1))
    assert {crash.core.state for crash in running.crashes()} == {CoreState.KEPT}
    assert seen(victim) == before
    assert len(os.listdir(spool)) == 1


def test_what_is_exchanged_with_the_directory_of_a_core_is_neither_taken_nor_touched(
    running: RunningDaemon, programs: Path, spool: Path, private: Path
) -> None:
    before, link = seen(private / "core"), spool.with_name("decoy")
    as_asterisk("ln", "-s", private, link)
    use_gdb(running, spool, SILENT, watch={"directories": [str(spool)], "rescan": "1s"})
    running.start()
    exchanged = 0

    for pid in range(1, CORES + 1):
        real = link if spool.is_symlink() else spool
        write_core(real / "core", pid)
        exchanged += int(swap(programs, spool, link).communicate(timeout=PATIENCE)[0])
        if spool.is_symlink():
            as_asterisk(programs / "swapper", "1", spool, link)
        running.wait_until(lambda: os.listdir(spool) == [], "the core to be collected")

    assert exchanged == CORES * EXCHANGES
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
