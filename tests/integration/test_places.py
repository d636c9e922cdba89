"""The daemon determines which directories to watch, and follows changes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd.model.crash import DiscoveredBy
from tests.support.harness import RunningDaemon, crash, end_by_signal, running_asterisk
from tests.support.kernel import core_pattern, short_event_queue


def test_the_working_directory_of_a_running_asterisk_is_watched(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    work = scratch / "work"
    work.mkdir()
    running.configure({})
    with running_asterisk(programs, work) as asterisk:
        running.start()
        end_by_signal(asterisk, signal.SIGSEGV)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(work / "core")
    assert recorded.core.found is DiscoveredBy.EVENT


def test_the_working_directory_of_a_new_asterisk_is_watched_before_it_crashes(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    run, work = scratch / "run", scratch / "elsewhere"
    work.mkdir()
    running.configure({"asterisk": {"run_directory": str(run)}})
    running.start()
    run.mkdir()
    with running_asterisk(programs, work, "--pid-file", str(run / "asterisk.pid")) as asterisk:
        running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the directory to be watched")
        end_by_signal(asterisk, signal.SIGBUS)
        (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(work / "core")
    assert recorded.core.found is DiscoveredBy.EVENT


def test_the_directory_of_an_asterisk_that_has_ended_is_watched_after_a_restart(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    work = scratch / "work"
    work.mkdir()
    running.configure({})
    with running_asterisk(programs, work):
        running.start()
    running.stop()
    crash(programs, work, "segv")
    running.start()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.START


@pytest.mark.serial
@pytest.mark.parametrize("pattern", ["{}/core.%e.%p", "{}/core.%E.%s"])
def test_the_directory_of_an_absolute_core_pattern_is_watched(
    running: RunningDaemon, programs: Path, scratch: Path, pattern: str
) -> None:
    dumps = scratch / "dumps"
    dumps.mkdir()
    running.configure({})
    with core_pattern(pattern.format(dumps)):
        running.start()
        crash(programs, scratch, "segv")
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).parent == dumps


@pytest.mark.serial
def test_a_relative_core_pattern_selects_a_directory_below_the_working_directory(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    work = scratch / "work"
    (work / "cores").mkdir(parents=True)
    running.configure({})
    with core_pattern("cores/core-%p"), running_asterisk(programs, work) as asterisk:
        running.start()
        end_by_signal(asterisk, signal.SIGSEGV)
        (recorded,) = running.wait_for_crashes(1)
    assert Path(recorded.core.path).parent == work / "cores"


@pytest.mark.serial
def test_a_core_pattern_with_an_unknown_program_is_reported_as_not_watched(running: RunningDaemon) -> None:
    running.configure({})
    with core_pattern("|/bin/false %p"):
        running.start()
        checked = subprocess.run(
            [sys.executable, "-m", "astbtd", "check-config", "--json", "--config", running.configuration],
            capture_output=True,
            check=True,
        )
    assert "not watched: core_pattern '|/bin/false %p' pipes cores to a program" in running.manager.status
    assert "not watched: core_pattern '|/bin/false %p'" in running.output()
    assert "pipes cores to a program" in json.loads(checked.stdout)["not_watched"][0]


def test_a_directory_that_appears_late_is_watched(running: RunningDaemon, programs: Path, scratch: Path) -> None:
    late = scratch / "not" / "yet"
    running.configure({"watch": {"directories": [str(late)]}})
    running.start()
    assert f"not watched: {late}" in running.manager.status
    late.mkdir(parents=True)
    running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the directory to be watched")
    crash(programs, late, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT


def test_a_deleted_and_recreated_directory_is_watched_again(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.start()
    shutil.rmtree(spool)
    running.wait_until(lambda: "watching 0 directories" in running.manager.status, "the deletion to be noticed")
    spool.mkdir()
    running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the directory to be watched")
    crash(programs, spool, "segv")
    assert running.wait_for_crashes(1)


def test_a_renamed_and_replaced_directory_is_watched_under_its_old_name(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    running.start()
    spool.rename(scratch / "away")
    running.wait_until(lambda: "watching 0 directories" in running.manager.status, "the deletion to be noticed")
    spool.mkdir()
    running.wait_until(lambda: "watching 1 directory" in running.manager.status, "the directory to be watched")
    left = crash(programs, scratch / "away", "abort")
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")
    assert left.exists()


@pytest.mark.serial
def test_a_core_whose_event_was_lost_in_a_queue_overflow_is_found_by_a_scan(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    with short_event_queue(16):
        running.start()
    running.suspend()
    for number in range(64):
        (spool / f"noise{number}").touch()
    crash(programs, spool, "segv")
    running.resume()
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.SCAN


def test_a_reload_watches_new_directories_and_an_invalid_one_changes_nothing(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    running.start()
    running.configuration.write_text("watch: {directories: [relative]}\nunknown: 1\n")
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration rejected" in running.manager.status, "the status to report it")
    crash(programs, spool, "abort")
    running.wait_for_crashes(1)
    other = scratch / "other"
    other.mkdir()
    running.configure({"watch": {"directories": [str(spool), str(other)]}})
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "watching 2 directories" in running.manager.status, "the new directory to be watched")
    crash(programs, other, "segv")
    running.wait_for_crashes(2)
    assert "configuration rejected, keeping the previous one: 2 errors, first: unknown: unknown key" in running.output()
    assert "configuration rejected" not in running.manager.status


def test_a_second_daemon_on_the_same_store_is_refused(running: RunningDaemon) -> None:
    running.start()
    second = subprocess.run(
        [sys.executable, "-m", "astbtd", "run", "--config", running.configuration],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NOTIFY_SOCKET": ""},
    )
    assert second.returncode == 1
    assert "another astbtd runs on the store" in second.stderr
