"""Cores on remote file systems are collected, and nothing waits for a file system that hangs."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, DiscoveredBy
from tests.support.fuse import Served, needs_fuse, served
from tests.support.harness import RunningDaemon, crash

pytestmark = needs_fuse

# A gdb that begins when a file exists.
_WAITING_GDB = """#!/bin/sh
until [ -e {file} ]; do sleep 0.1; done
exec gdb "$@"
"""


@pytest.fixture
def remote(running: RunningDaemon, scratch: Path, spool: Path) -> Iterator[Served]:
    """A remote directory beside the spool, to which Asterisk writes on another machine."""
    behind, front = scratch / "behind", scratch / "front"
    behind.mkdir()
    front.mkdir()
    running.configure(watch_settings(spool, front))
    with served(behind, front) as remote:
        yield remote


def watch_settings(*directories: Path, **settings: object) -> dict[str, object]:
    return {"watch": {"directories": [str(directory) for directory in directories]}, **settings}


def is_seen_by_inotify(running: RunningDaemon, directory: Path) -> bool:
    """Return whether the daemon has an inotify watch on the directory, according to proc_pid_fdinfo(5)."""
    status = directory.stat()
    watch = f" ino:{status.st_ino:x} sdev:{os.major(status.st_dev) << 20 | os.minor(status.st_dev):x} "
    return any(watch in each for each in descriptors(running))


def descriptors(running: RunningDaemon) -> Iterator[str]:
    """Yield the proc_pid_fdinfo(5) of each descriptor that the daemon has open; some are closed meanwhile."""
    for descriptor in Path(f"/proc/{running.process.pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            yield descriptor.read_text()


def status_contains(running: RunningDaemon, sentence: str) -> Callable[[], bool]:
    return lambda: sentence in running.manager.status


def test_a_core_written_on_another_machine_is_collected(running: RunningDaemon, programs: Path, remote: Served) -> None:
    running.start()
    crash(programs, remote.backing, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(remote.mount_point / "core")
    assert recorded.core.found is DiscoveredBy.EVENT
    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(remote.backing) == []


def test_a_core_that_is_there_at_the_start_is_claimed_before_the_daemon_is_ready(
    running: RunningDaemon, programs: Path, remote: Served
) -> None:
    crash(programs, remote.backing, "segv")
    running.start()
    assert "watching 2 directories" in running.manager.status
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.START


def test_a_core_that_arrives_in_pieces_is_collected_when_it_is_complete(
    running: RunningDaemon, programs: Path, scratch: Path, remote: Served
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    half = len(whole) // 2
    running.start()
    (remote.backing / "arriving").write_bytes(whole[:half])
    crash(programs, remote.backing, "abort")
    assert [each.signal.name for each in running.wait_for_crashes(1) if each.signal] == ["SIGABRT"]
    with (remote.backing / "arriving").open("ab") as arriving:
        arriving.write(whole[half:])
    assert [each.core.truncated for each in running.wait_for_crashes(2)] == [False, False]


def test_a_core_that_stays_truncated_is_collected_as_truncated(
    running: RunningDaemon, programs: Path, scratch: Path, remote: Served
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    running.start()
    (scratch / "cut").write_bytes(whole[: len(whole) // 2])
    os.utime(scratch / "cut", (1_000_000_000, 1_000_000_000))
    (scratch / "cut").rename(remote.backing / "core")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.truncated


def test_only_remote_directories_are_polled(running: RunningDaemon, remote: Served, spool: Path) -> None:
    running.start()
    assert "watching 2 directories" in running.manager.status
    assert is_seen_by_inotify(running, spool)
    assert not is_seen_by_inotify(running, remote.mount_point)


def test_a_directory_is_polled_if_it_is_configured_so(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure({"watch": {"poll": [str(spool.parent)], "directories": [str(spool)]}})
    running.start()
    assert not is_seen_by_inotify(running, spool)
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT


def test_a_directory_is_polled_while_a_remote_file_system_is_mounted_on_it(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    behind = scratch / "behind"
    behind.mkdir()
    running.start()
    with served(behind, spool):
        crash(programs, behind, "segv")
        running.wait_for_crashes(1)
        assert not is_seen_by_inotify(running, spool)
    crash(programs, spool, "abort")
    assert [crash.diagnosis.signal for crash in running.wait_for_crashes(2)] == ["SIGABRT", "SIGSEGV"]
    assert is_seen_by_inotify(running, spool)


def test_a_file_system_that_hangs_delays_no_other_core_and_its_cores_are_collected_afterwards(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    running.start()
    remote.suspend()
    crash(programs, remote.backing, "abort")
    silent = f"not watched: {remote.mount_point} has not responded since "
    running.wait_until(status_contains(running, silent), "the hanging file system in the status")
    assert "watching 1 directory;" in running.manager.status
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")

    remote.resume()

    assert [each.core.path for each in running.wait_for_crashes(2)] == [
        str(spool / "core"),
        str(remote.mount_point / "core"),
    ]
    running.wait_until(lambda: not status_contains(running, "has not responded")(), "a status without it")
    assert running.output().count(silent) == 1


def test_the_daemon_starts_runs_and_stops_while_a_file_system_hangs(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    asterisk = subprocess.Popen([programs / "asterisk", "wait"], cwd=remote.mount_point, stdout=subprocess.PIPE)
    with ExitStack() as stack:
        stack.callback(asterisk.kill)
        assert asterisk.stdout is not None
        asterisk.stdout.readline()
        remote.suspend()
        running.environment["WATCHDOG_USEC"] = "400000"
        running.start()
        running.manager.states.clear()
        running.wait_until(lambda: running.manager.states.count("WATCHDOG=1") >= 3, "watchdog notifications")
        crash(programs, spool, "segv")
        running.wait_for_crashes(1)
        assert running.stop() == 0


def test_a_core_that_was_copied_is_processed_while_its_file_system_hangs(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    begin = hold_gdb(running, spool, remote)
    crash(programs, remote.backing, "segv")
    running.wait_until(status_contains(running, "processing"), "the extraction to begin")
    remote.suspend()
    begin.touch()
    running.wait_until(lambda: [crash.core.state for crash in running.crashes()] == [CoreState.KEPT], "the core kept")
    assert sorted(os.listdir(remote.backing))[-1] == "core"

    remote.resume()

    running.wait_for_crashes(1)
    assert os.listdir(remote.backing) == []


def test_a_claim_is_resumed_after_a_kill_when_its_file_system_responds_again(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    hold_gdb(running, spool, remote)
    crash(programs, remote.backing, "segv")
    running.wait_until(status_contains(running, "processing"), "the extraction to begin")
    remote.suspend()
    running.kill()
    running.configure(watch_settings(spool))
    running.start()
    crash(programs, spool, "abort")
    running.wait_until(lambda: len(running.crashes()) == 1, "the other crash")

    remote.resume()

    assert sorted(crash.diagnosis.signal or "" for crash in running.wait_for_crashes(2)) == ["SIGABRT", "SIGSEGV"]
    assert os.listdir(remote.backing) == []


def hold_gdb(running: RunningDaemon, spool: Path, remote: Served) -> Path:
    """Start the daemon with a gdb that begins only when the file returned exists."""
    begin = spool.parent / "begin"
    gdb = spool.parent / "gdb-that-waits"
    gdb.write_text(_WAITING_GDB.format(file=begin))
    gdb.chmod(0o755)
    running.configure(watch_settings(spool, remote.mount_point, gdb={"program": str(gdb)}))
    running.start()
    return begin
