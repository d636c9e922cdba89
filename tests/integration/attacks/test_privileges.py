"""Facts come from the core alone, results are readable by root and its group only, and no namespace is entered."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from tests.support.attackers import ASTERISK, crash_as_asterisk, run_as_asterisk, write_core
from tests.support.fake_gdb import paused_gdb
from tests.support.harness import RunningDaemon, end_by_signal, running_asterisk

PLANTED = "sip-password-6f1b"
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def set_next_pid(pid: int) -> None:
    """Make the kernel give the next process this pid."""
    LAST_PID.write_text(str(pid - 1))


@contextmanager
def process_with_pid(pid: int, programs: Path, directory: Path) -> Iterator[None]:
    """Run a process of root with this pid, and a secret in all files that /proc has for it."""
    for _ in range(100):
        set_next_pid(pid)
        other = subprocess.Popen(
            [programs / "asterisk", "wait", "--note", PLANTED],
            cwd=directory,
            env={"PLANTED": PLANTED},
            stdout=subprocess.PIPE,
        )
        if other.pid == pid:
            break
        other.kill()
        other.wait()
    assert other.pid == pid
    try:
        assert other.stdout
        other.stdout.readline()
        yield
    finally:
        other.kill()
        other.wait()


def test_a_process_that_reuses_the_pid_of_the_crashed_one_is_not_examined(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    private = scratch / PLANTED
    private.mkdir(mode=0o700)
    with running_asterisk(programs, spool, user=ASTERISK) as asterisk:
        end_by_signal(asterisk, signal.SIGSEGV)
    with process_with_pid(asterisk.pid, programs, private):
        running.start()
        (recorded,) = running.wait_for_crashes(1)

    assert recorded.process.pid == asterisk.pid
    assert recorded.process.command_line == f"{programs}/asterisk wait"
    files = [path for path in running.store.directory(recorded.id).iterdir() if path.is_file()]
    assert [path.name for path in files if PLANTED.encode() in path.read_bytes()] == []


def test_the_core_of_a_setuid_program_is_readable_by_root_only(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path
) -> None:
    program = scratch / "asterisk-of-root"
    shutil.copy(programs / "asterisk", program)
    program.chmod(0o4755)
    spool.chmod(0o777)
    running.start()

    core = crash_as_asterisk(program, spool, "segv", "--modules", str(programs / "modules"))
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert not core.exists()
    directory = running.store.directory(recorded.id)
    modes = {path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in directory.iterdir()}
    assert modes.pop("core.zst") == (0, 0o600)
    assert set(modes.values()) == {(0, 0o640)}
    assert run_as_asterisk("find", running.store.root, "-readable", check=False).stdout == ""


def test_the_owner_loses_access_to_a_core_while_it_is_processed(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        core = crash_as_asterisk(programs / "asterisk", spool, "segv")
        wait_for_gdb()
        for attempt in (["cat"], ["truncate", "-s", "0"], ["chmod", "666"]):
            assert run_as_asterisk(*attempt, core, check=False).returncode != 0


@pytest.fixture
def in_own_namespace(spool: Path, programs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An Asterisk in a mount namespace that its user made, with another directory in the place of its own."""
    script = f"mount -t tmpfs tmpfs {spool} && cd {spool} && exec {programs}/asterisk wait"
    process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        user=ASTERISK,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    if process.stdout.readline() != b"ready\n":
        pytest.skip("this kernel gives users no namespaces")
    yield process
    process.kill()
    process.wait()


def test_a_mount_namespace_made_by_the_asterisk_user_is_not_entered(
    running: RunningDaemon, spool: Path, in_own_namespace: "subprocess.Popen[bytes]"
) -> None:
    running.configure({})
    running.start()

    assert f"Asterisk, pid {in_own_namespace.pid}: its working directory {spool} is private to it" in running.output()
    write_core(spool / "core", 1)
    end_by_signal(in_own_namespace, signal.SIGSEGV)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration reloaded" in running.output(), "another look")
    running.stop()
    assert running.crashes() == []
    assert os.listdir(spool) == ["core"]
