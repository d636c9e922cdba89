"""A disk that is full, read-only, or without room for another name: it is said, and work resumes by itself."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from tests.support.harness import RunningDaemon, crash

ENOUGH = "size=64M"


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """A small disk of its own."""
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path) -> Path:
    """Takes all room there is, to the last byte, with a file."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            return ballast
    raise AssertionError("a disk that never is full")


@pytest.fixture
def disk(running: RunningDaemon, spool: Path) -> Iterator[Path]:
    """The store's disk, and the daemon set to look again every second."""
    retention = {"minimum_free": "0%"}
    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}, "retention": retention})
    with mounted(running.store.root, f"{ENOUGH},mode=750"):
        yield running.store.root


def says(running: RunningDaemon, what: str) -> bool:
    return what in running.manager.status


def wait_until_all_is_well(running: RunningDaemon) -> None:
    running.wait_until(lambda: running.manager.status.endswith("idle"), "the status to be well again")


def test_a_core_that_cannot_be_claimed_for_want_of_room_waits_where_it_is_until_there_is_some(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    ballast = fill(disk)
    crash(programs, spool, "segv")
    running.wait_until(lambda: says(running, "No space left on device"), "the status to tell")
    assert os.listdir(spool) == ["core"]

    ballast.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(spool) == []
    wait_until_all_is_well(running)


def test_a_store_on_a_disk_that_is_full_at_the_start_takes_up_its_work_when_there_is_room(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    running.wait_until(lambda: not running.store.is_new, "the first start to be over")
    running.stop()
    ballast = fill(disk)
    crash(programs, spool, "segv")
    running.start()
    running.wait_until(lambda: says(running, "No space left on device"), "the status to tell")

    ballast.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    wait_until_all_is_well(running)


def refuses_to_start(running: RunningDaemon) -> str:
    """Starts the daemon, which ends by itself so that systemd starts it again later; returns what it says."""
    running.launch()
    assert running.process.wait() == 1
    assert "Traceback" not in running.output()
    return running.output()


def test_a_store_that_cannot_be_made_on_a_full_disk_is_made_at_a_later_start(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    with mounted(disk, "size=16K,nr_inodes=2,mode=750"):
        (disk / "ballast").touch()
        crash(programs, spool, "segv")

        assert f"cannot use the store {disk}: No space left on device" in refuses_to_start(running)

    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.KEPT


def test_a_store_that_is_read_only_at_the_start_is_used_when_it_is_writable_at_a_later_one(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    running.stop()
    crash(programs, spool, "segv")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    assert f"cannot use the store {disk}: Read-only file system" in refuses_to_start(running)
    assert os.listdir(spool) == ["core"]

    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.KEPT


@pytest.mark.usefixtures("disk")
def test_a_core_on_a_disk_that_has_no_room_for_another_name_is_copied(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    with mounted(spool, f"{ENOUGH},nr_inodes=2"):
        crash(programs, spool, "segv")
        running.start()
        (recorded,) = running.wait_for_crashes(1)

        assert recorded.core.state is CoreState.KEPT
        assert os.listdir(spool) == ["core"]
        running.stop()
