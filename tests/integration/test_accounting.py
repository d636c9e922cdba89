"""Every claim is processed and every core is seen, whatever goes wrong once."""

import os
import sys
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from tests.support.fake_gdb import paused_gdb
from tests.support.harness import RunningDaemon, crash


def inject(running: RunningDaemon, fault: str, **environment: object) -> None:
    """Have the daemon started with a fault."""
    running.wrapper = (sys.executable, "-m", "tests.support.faulty_daemon", fault)
    mark = running.configuration.with_name("mark")
    running.environment = {"FAULT_MARK": str(mark), **{name: str(value) for name, value in environment.items()}}


def rescan_every_second(running: RunningDaemon, *directories: Path) -> None:
    watched = [str(directory) for directory in directories]
    running.configure({"watch": {"directories": watched, "rescan": "1s"}, "retention": {"minimum_free": "0%"}})


def test_a_claim_that_was_forgotten_is_found_logged_and_processed(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    rescan_every_second(running, spool)
    inject(running, "forget-claim")
    running.start()

    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert "was held, but neither queued nor processed" in running.output()
    assert os.listdir(spool) == []


def test_a_core_that_is_renamed_when_its_claim_was_taken_is_processed(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    drop = scratch / "drop"
    drop.mkdir()
    running.configure({"watch": {"directories": [str(spool), str(drop)]}})
    inject(running, "rename-when-taken", FAULT_SOURCE=spool / "core", FAULT_TARGET=drop / "core.pbx")
    running.start()

    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    running.wait_until(lambda: os.listdir(drop) == [], "the renamed core to be removed")

    assert recorded.core.state is CoreState.KEPT
    assert "internal error" not in running.output()


@pytest.mark.parametrize("fault", ["open-eio", "open-enfile", "reopen-eio", "refuse-claim-file"])
def test_a_core_that_could_not_be_examined_or_claimed_once_is_collected_at_the_next_rescan(
    running: RunningDaemon, programs: Path, spool: Path, fault: str
) -> None:
    rescan_every_second(running, spool)
    inject(running, fault)
    running.start()

    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert f"{spool / 'core'}: " in running.output()
    assert running.output().count("it cannot be claimed now") == 1


def test_a_core_with_a_second_name_for_an_instant_is_collected(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()
    running.start()
    core = crash(programs, elsewhere, "segv")

    os.link(core, spool / "core.1")
    running.wait_until_quiet()
    core.unlink()
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert "another name" not in running.output()


def test_a_core_that_took_the_name_of_a_removed_one_is_collected(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()
    following = crash(programs, elsewhere, "abort").rename(scratch / "following")
    inject(running, "replace-before-removal", FAULT_SOURCE=following)
    running.start()

    crash(programs, spool, "segv")
    recorded = running.wait_for_crashes(2)

    assert {each.signal.name for each in recorded if each.signal} == {"SIGSEGV", "SIGABRT"}
    assert [each.core.state for each in recorded] == [CoreState.KEPT] * 2


def test_a_directory_that_is_renamed_while_gdb_runs_is_left_without_files_of_the_claim(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    renamed = spool.with_name("spool.old")
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        crash(programs, spool, "segv")
        wait_for_gdb()
        spool.rename(renamed)
        spool.mkdir()

    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(renamed) == os.listdir(spool) == []


def test_a_store_behind_a_symbolic_link_is_used(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    disk = scratch / "disk"
    disk.mkdir()
    running.store.root.symlink_to(disk)
    running.start()

    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert sorted(os.listdir(disk)) == sorted(os.listdir(running.store.root))
    assert (disk / "latest").resolve() == disk / "crashes" / recorded.id


def test_a_reload_that_is_requested_during_the_start_is_done_afterwards(running: RunningDaemon) -> None:
    inject(running, "hang-up-early")

    running.start()
    running.wait_until(lambda: "configuration reloaded" in running.output(), "the reload")

    assert running.stop() == 0
