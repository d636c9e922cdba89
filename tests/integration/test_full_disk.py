"""A disk that is full, read-only or out of inodes: it is reported, and work resumes without help."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, ExtractionOutcome, Verdict
from tests.support.attackers import OTHER_USER
from tests.support.harness import RunningDaemon, crash
from tests.support.small_disk import fill, mounted_tmpfs

DISK_SIZE = "size=64M"


@pytest.fixture
def disk(running: RunningDaemon, spool: Path) -> Iterator[Path]:
    """A small disk for the store of a daemon that rescans every second."""
    retention = {"minimum_free": "0%"}
    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}, "retention": retention})
    with mounted_tmpfs(running.store.root, f"{DISK_SIZE},mode=750"):
        yield running.store.root


def shows(running: RunningDaemon, what: str) -> bool:
    return what in running.manager.status


def wait_until_idle(running: RunningDaemon) -> None:
    running.wait_until(lambda: running.manager.status.endswith("idle"), "the status to be idle")


def test_a_core_that_cannot_be_claimed_on_a_full_disk_stays_in_place_until_there_is_space(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    ballast = fill(disk)
    crash(programs, spool, "segv")
    running.wait_until(lambda: shows(running, "No space left on device"), "the status to report it")
    assert os.listdir(spool) == ["core"]

    ballast.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(spool) == []
    wait_until_idle(running)


def test_a_store_on_a_disk_that_is_full_at_the_start_is_used_once_there_is_space(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    running.wait_until(lambda: not running.store.is_new, "the first start to be over")
    running.stop()
    ballast = fill(disk)
    crash(programs, spool, "segv")
    running.start()
    running.wait_until(lambda: shows(running, "No space left on device"), "the status to report it")

    ballast.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    wait_until_idle(running)


def failed_start(running: RunningDaemon) -> str:
    """Start a daemon that exits with 1, so that systemd starts it again later. Return what it wrote."""
    running.launch()
    assert running.process.wait() == 1
    assert "Traceback" not in running.output()
    return running.output()


def test_a_store_that_cannot_be_created_on_a_full_disk_is_created_at_a_later_start(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    with mounted_tmpfs(disk, "size=16K,nr_inodes=2,mode=750"):
        (disk / "ballast").touch()
        crash(programs, spool, "segv")

        assert f"cannot use the store {disk}: No space left on device" in failed_start(running)

    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.KEPT


def test_a_store_that_is_read_only_at_the_start_is_used_at_a_later_start_when_writable(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    running.stop()
    crash(programs, spool, "segv")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    assert f"cannot use the store {disk}: Read-only file system" in failed_start(running)
    assert os.listdir(spool) == ["core"]

    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.state is CoreState.KEPT


@pytest.mark.usefixtures("disk")
def test_a_core_on_a_disk_without_free_inodes_is_copied(running: RunningDaemon, programs: Path, spool: Path) -> None:
    with mounted_tmpfs(spool, f"{DISK_SIZE},nr_inodes=2"):
        crash(programs, spool, "segv")
        running.start()
        (recorded,) = running.wait_for_crashes(1)

        assert recorded.core.state is CoreState.KEPT
        assert os.listdir(spool) == ["core"]
        running.stop()


def wait_until_reported(running: RunningDaemon, lost: int) -> None:
    """Wait until the journal reports this many lost cores, and the status that another core cannot be claimed."""
    running.wait_until(lambda: running.output().count("before astbtd could claim it") == lost, "a lost core")
    running.wait_until(lambda: shows(running, "core: cannot record the claim"), "the status to report it")


def test_crashes_whose_cores_are_overwritten_on_a_full_disk_are_logged_at_once_and_recorded_as_lost(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    running.start()
    ballast = fill(disk)
    for number, how in enumerate(("segv", "abort", "segv")):
        crash(programs, spool, how)
        wait_until_reported(running, number)

    ballast.unlink()
    recorded = running.wait_for_crashes(3)

    assert [each.core.state for each in recorded] == [CoreState.KEPT, CoreState.LOST, CoreState.LOST]
    assert [each.signal.name for each in recorded if each.signal] == ["SIGSEGV", "SIGABRT", "SIGSEGV"]
    assert all("core_pattern" in " ".join(each.diagnosis.advice) for each in recorded[1:])
    assert running.output().count("its core") == 2


def test_a_core_of_another_user_that_is_overwritten_on_a_full_disk_is_no_crash_of_the_pbx(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path
) -> None:
    spool.chmod(0o777)
    running.start()
    ballast = fill(disk)
    crash(programs, spool, "segv", user=OTHER_USER)
    running.wait_until(lambda: shows(running, "core: cannot record the claim"), "the status to report it")
    (spool / "core").unlink()
    crash(programs, spool, "segv")
    running.wait_until(lambda: "the core of a foreign program" in running.output(), "the journal to report it")

    ballast.unlink()
    recorded = running.wait_for_crashes(2)

    assert {(each.foreign, each.core.state) for each in recorded} == {(False, CoreState.KEPT), (True, CoreState.LOST)}
    assert running.output().count("Asterisk crashed:") == 1


@pytest.mark.parametrize("space", [48 << 10, 72 << 10])
def test_a_disk_that_fills_up_while_gdb_writes_defers_the_extraction_until_there_is_space(
    running: RunningDaemon, programs: Path, spool: Path, disk: Path, space: int
) -> None:
    running.start()
    wait_until_idle(running)
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - space)

    crash(programs, spool, "segv")
    running.wait_until(lambda: "(will be retried)" in running.output(), "the journal to report it")
    assert running.crashes() == []

    ballast.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert (recorded.extraction.ended, recorded.core.state) == (ExtractionOutcome.OK, CoreState.KEPT)
    assert recorded.diagnosis.verdict is Verdict.USABLE
    assert recorded.diagnosis.crash_function is not None
