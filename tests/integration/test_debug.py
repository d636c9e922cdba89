"""`astbtd debug`: gdb for a person, confined as for an extraction, with the objects of the build that crashed."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, ExtractionOutcome, Section
from tests.support.commands import build, command_line, run_astbtd, section_text
from tests.support.documented import crashed_frames
from tests.support.fake_gdb import paused_gdb, use_gdb
from tests.support.harness import RunningDaemon, collect_kept, crash


@pytest.fixture
def collected(running: RunningDaemon, spool: Path, scratch: Path) -> Crash:
    """A crash whose core is kept."""
    programs = build(scratch / "programs")
    return collect_kept(running, programs, spool)


def debug(running: RunningDaemon, crash_id: str, *arguments: str) -> str:
    """Run gdb with these arguments, and return what it printed."""
    done = run_astbtd(running, "debug", crash_id, "--", "-batch", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def left_in(running: RunningDaemon) -> list[str]:
    """Return what sessions have left in the store."""
    return [name for name in os.listdir(running.store.incoming) if name.startswith("astbtd-")]


def processes_of_gdb(program: str) -> list[int]:
    """Return the ids of the processes of gdb's user in our pid namespace that run this program.

    That user also runs the gdb by which the daemon checks, after its start, that gdb works.
    """
    uid = pwd.getpwnam("astbtd-gdb").pw_uid
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if each.stat().st_uid == uid and (each / "comm").read_text() == f"{program}\n":
                found.append(int(each.name))
    return sorted(found)


@pytest.fixture
def waiting(running: RunningDaemon, collected: Crash) -> Iterator["subprocess.Popen[str]"]:
    """A session that waits for commands on a pipe."""
    command = command_line(running, "debug", collected.id, "--", "-ex", "echo started\\n")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "started\n" for line in process.stdout)
        yield process
        process.kill()


def test_it_shows_the_frames_of_the_backtrace_and_leaves_nothing(running: RunningDaemon, collected: Crash) -> None:
    shown = debug(running, collected.id, "-ex", "bt")

    assert crashed_frames(shown) == crashed_frames(section_text(running, collected, Section.BACKTRACE))
    assert "do_forward" in shown
    assert left_in(running) == []


def test_after_an_upgrade_it_uses_the_objects_of_the_build_that_crashed(
    running: RunningDaemon, collected: Crash, scratch: Path
) -> None:
    before = crashed_frames(debug(running, collected.id, "-ex", "bt"))
    for name in ("asterisk", "modules/app_dial.so"):
        (scratch / "programs" / name).unlink()
        (scratch / "programs" / name).write_bytes(Path("/bin/true").read_bytes())

    assert crashed_frames(debug(running, collected.id, "-ex", "bt")) == before


def test_gdb_is_confined_as_for_an_extraction(running: RunningDaemon, collected: Crash, scratch: Path) -> None:
    (scratch / "open").mkdir(mode=0o777)
    (scratch / "open").chmod(0o777)
    commands = (
        "shell id -u",
        f"shell echo x >{scratch}/open/file",
        "shell cat /etc/shadow",
        "shell wc -l /proc/net/dev",
    )

    shown = debug(running, collected.id, *(word for command in commands for word in ("-ex", command)))

    assert str(pwd.getpwnam("astbtd-gdb").pw_uid) in shown.split()
    assert os.listdir(scratch / "open") == []
    assert "root:" not in shown
    assert "3 /proc/net/dev" in shown, "the headings, and the loopback interface"


def test_gdb_has_no_controlling_terminal(running: RunningDaemon, collected: Crash) -> None:
    shown = debug(running, collected.id, "-ex", "shell test -t 0; (: </dev/tty) 2>&1 | tail -1")

    assert "/dev/tty" in shown
    assert "No such device or address" in shown


def test_an_interrupt_reaches_gdb_and_does_not_end_the_session(waiting: "subprocess.Popen[str]") -> None:
    assert waiting.stdin is not None
    assert waiting.stdout is not None
    # One command, so that the signal cannot come between two of them, when nothing would be interrupted.
    waiting.stdin.write("python import time; gdb.write('busy\\n'); gdb.flush(); time.sleep(1000)\n")
    waiting.stdin.flush()
    assert any("busy" in line for line in waiting.stdout)

    waiting.send_signal(signal.SIGINT)
    output, _ = waiting.communicate("echo alive\\n\nquit\n", timeout=60)

    assert "alive" in output
    assert waiting.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_session_that_is_ended_leaves_nothing(
    running: RunningDaemon, waiting: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    assert left_in(running)

    waiting.send_signal(number)
    waiting.wait(60)

    assert left_in(running) == []


def test_what_a_killed_session_leaves_is_removed_by_the_next_one(
    running: RunningDaemon, collected: Crash, waiting: "subprocess.Popen[str]"
) -> None:
    waiting.kill()
    waiting.communicate()  # gdb has ended as well, since it had the pipe
    assert left_in(running)

    debug(running, collected.id, "-ex", "bt")

    assert left_in(running) == []


def test_what_a_killed_session_leaves_is_removed_by_the_next_start_of_the_daemon(
    running: RunningDaemon, waiting: "subprocess.Popen[str]"
) -> None:
    waiting.kill()
    waiting.communicate()
    assert left_in(running)

    running.start()

    assert left_in(running) == []


def test_without_disk_space_nothing_is_done_and_nothing_left(running: RunningDaemon, collected: Crash) -> None:
    running.configure({"retention": {"minimum_free": "90%"}})

    done = run_astbtd(running, "debug", collected.id, "--", "-batch")

    assert done.returncode == 1
    assert "hint: free some disk space" in done.stderr
    assert left_in(running) == []


def test_others_than_root_may_not_read_the_core(running: RunningDaemon, collected: Crash) -> None:
    command = command_line(running, "debug", collected.id)

    done = subprocess.run(command, user="nobody", capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "use sudo" in done.stderr


LEAVES_A_PROCESS = '#!/bin/sh\nsetsid sleep 1000 &\nexec gdb "$@"\n'


def test_an_extraction_whose_gdb_leaves_a_process_does_not_end_a_session(
    running: RunningDaemon, waiting: "subprocess.Popen[str]", spool: Path, scratch: Path
) -> None:
    use_gdb(running, spool, LEAVES_A_PROCESS)
    running.start()
    crash(scratch / "programs", spool, "abort")
    running.wait_for_crashes(2)

    output, _ = waiting.communicate("echo alive\\n\nquit\n", timeout=60)

    assert "alive" in output
    assert processes_of_gdb("sleep") == []


def test_a_session_that_leaves_a_process_does_not_end_an_extraction(
    running: RunningDaemon, collected: Crash, spool: Path, scratch: Path
) -> None:
    program = running.configuration.read_text()
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        crash(scratch / "programs", spool, "abort")
        wait_for_gdb()
        running.configuration.write_text(program)
        debug(running, collected.id, "-ex", "shell setsid sleep 1000 &")

        assert processes_of_gdb("sleep") == []
    assert [each.extraction.ended for each in running.wait_for_crashes(2)] == [ExtractionOutcome.OK] * 2
