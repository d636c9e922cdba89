"""Places whose file system others serve are looked after too, and hold up nobody when their server does not answer."""

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

# A gdb that waits for a word before it begins.
_PATIENT = """#!/bin/sh
until [ -e {word} ]; do sleep 0.1; done
exec gdb "$@"
"""


@pytest.fixture
def remote(running: RunningDaemon, scratch: Path, spool: Path) -> Iterator[Served]:
    """A place beside the spool, where Asterisk works behind a server's back, as on another machine."""
    behind, front = scratch / "behind", scratch / "front"
    behind.mkdir()
    front.mkdir()
    running.configure(places(spool, front))
    with served(behind, front) as remote:
        yield remote


def places(*directories: Path, **settings: object) -> dict[str, object]:
    return {"watch": {"directories": [str(directory) for directory in directories]}, **settings}


def is_seen_by_inotify(running: RunningDaemon, directory: Path) -> bool:
    """Whether the daemon has an inotify watch on the directory, as proc_pid_fdinfo(5) shows them."""
    status = directory.stat()
    watch = f" ino:{status.st_ino:x} sdev:{os.major(status.st_dev) << 20 | os.minor(status.st_dev):x} "
    return any(watch in each for each in descriptors(running))


def descriptors(running: RunningDaemon) -> Iterator[str]:
    """What the kernel tells of each descriptor that the daemon has open; some are closed meanwhile."""
    for descriptor in Path(f"/proc/{running.process.pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            yield descriptor.read_text()


def says(running: RunningDaemon, sentence: str) -> Callable[[], bool]:
    return lambda: sentence in running.manager.status


def test_a_core_written_where_inotify_cannot_see_is_collected(
    running: RunningDaemon, programs: Path, remote: Served
) -> None:
    running.start()
    crash(programs, remote.behind, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(remote.front / "core")
    assert recorded.core.found is DiscoveredBy.EVENT
    assert recorded.core.state is CoreState.KEPT
    assert os.listdir(remote.behind) == []


def test_a_core_that_waits_there_at_the_start_is_collected_before_the_daemon_is_ready(
    running: RunningDaemon, programs: Path, remote: Served
) -> None:
    crash(programs, remote.behind, "segv")
    running.start()
    assert "watching 2 places" in running.manager.status
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.START


def test_a_core_that_arrives_in_pieces_where_leases_do_not_tell_is_taken_when_complete(
    running: RunningDaemon, programs: Path, scratch: Path, remote: Served
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    half = len(whole) // 2
    running.start()
    (remote.behind / "arriving").write_bytes(whole[:half])
    crash(programs, remote.behind, "abort")
    assert [each.signal.name for each in running.wait_for_crashes(1) if each.signal] == ["SIGABRT"]
    with (remote.behind / "arriving").open("ab") as arriving:
        arriving.write(whole[half:])
    assert [each.core.truncated for each in running.wait_for_crashes(2)] == [False, False]


def test_a_core_that_stays_cut_short_where_leases_do_not_tell_is_collected_as_truncated(
    running: RunningDaemon, programs: Path, scratch: Path, remote: Served
) -> None:
    whole = crash(programs, scratch, "segv").read_bytes()
    running.start()
    (scratch / "cut").write_bytes(whole[: len(whole) // 2])
    os.utime(scratch / "cut", (1_000_000_000, 1_000_000_000))
    (scratch / "cut").rename(remote.behind / "core")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.truncated


def test_only_what_inotify_cannot_see_is_polled(running: RunningDaemon, remote: Served, spool: Path) -> None:
    running.start()
    assert "watching 2 places" in running.manager.status
    assert is_seen_by_inotify(running, spool)
    assert not is_seen_by_inotify(running, remote.front)


def test_a_directory_is_polled_if_the_settings_say_so(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.configure({"watch": {"poll": [str(spool.parent)], "directories": [str(spool)]}})
    running.start()
    assert not is_seen_by_inotify(running, spool)
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.found is DiscoveredBy.EVENT


def test_a_directory_that_is_mounted_over_is_polled_from_then_on_and_watched_as_before_afterwards(
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


def test_a_file_system_that_hangs_does_not_hold_up_the_others_and_gives_its_cores_when_it_answers(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    running.start()
    remote.halt()
    crash(programs, remote.behind, "abort")
    silent = f"not watched: {remote.front} does not answer since "
    running.wait_until(says(running, silent), "the status to tell")
    assert "watching 1 place;" in running.manager.status
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert recorded.core.path == str(spool / "core")

    remote.resume()

    assert [each.core.path for each in running.wait_for_crashes(2)] == [str(spool / "core"), str(remote.front / "core")]
    running.wait_until(lambda: not says(running, "does not answer")(), "the status to be well again")
    assert running.output().count(silent) == 1


def test_the_daemon_starts_lives_and_ends_while_a_file_system_hangs(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    asterisk = subprocess.Popen([programs / "asterisk", "wait"], cwd=remote.front, stdout=subprocess.PIPE)
    with ExitStack() as stack:
        stack.callback(asterisk.kill)
        assert asterisk.stdout is not None
        asterisk.stdout.readline()
        remote.halt()
        running.environment["WATCHDOG_USEC"] = "400000"
        running.start()
        running.manager.states.clear()
        running.wait_until(lambda: running.manager.states.count("WATCHDOG=1") >= 3, "signs of life")
        crash(programs, spool, "segv")
        running.wait_for_crashes(1)
        assert running.stop() == 0


def test_a_core_that_was_fetched_is_examined_and_kept_while_its_file_system_hangs(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    begin = hold_gdb(running, spool, remote)
    crash(programs, remote.behind, "segv")
    running.wait_until(says(running, "examining"), "the examination to begin")
    remote.halt()
    begin.touch()
    running.wait_until(lambda: [crash.core.state for crash in running.crashes()] == [CoreState.KEPT], "the core kept")
    assert sorted(os.listdir(remote.behind))[-1] == "core"

    remote.resume()

    running.wait_for_crashes(1)
    assert os.listdir(remote.behind) == []


def test_a_claim_is_taken_up_after_a_kill_when_its_file_system_answers_again(
    running: RunningDaemon, programs: Path, spool: Path, remote: Served
) -> None:
    hold_gdb(running, spool, remote)
    crash(programs, remote.behind, "segv")
    running.wait_until(says(running, "examining"), "the examination to begin")
    remote.halt()
    running.kill()
    running.configure(places(spool))
    running.start()
    crash(programs, spool, "abort")
    running.wait_until(lambda: len(running.crashes()) == 1, "the other crash")

    remote.resume()

    assert sorted(crash.diagnosis.signal or "" for crash in running.wait_for_crashes(2)) == ["SIGABRT", "SIGSEGV"]
    assert os.listdir(remote.behind) == []


def hold_gdb(running: RunningDaemon, spool: Path, remote: Served) -> Path:
    """Starts the daemon with a gdb that begins only when the file returned exists."""
    begin = spool.parent / "begin"
    gdb = spool.parent / "gdb-that-waits"
    gdb.write_text(_PATIENT.format(word=begin))
    gdb.chmod(0o755)
    running.configure(places(spool, remote.front, gdb={"program": str(gdb)}))
    running.start()
    return begin
