"""A crash is told from its core, results stay with root and its readers, and nobody's name space is entered."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from tests.integration.attacks.conftest import ASTERISK, as_asterisk, crash_as_asterisk, held_up, write_core
from tests.support.harness import RunningDaemon, die_of, living_asterisk

WORD = "sip-password-6f1b"
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def next_process_is(pid: int) -> None:
    """The kernel gives the next process the number after its last one's."""
    LAST_PID.write_text(str(pid - 1))


@contextmanager
def another_process(pid: int, programs: Path, directory: Path) -> Iterator[None]:
    """A process of root's that has this number, and secrets in all that /proc tells of it."""
    for _ in range(100):
        next_process_is(pid)
        other = subprocess.Popen(
            [programs / "asterisk", "wait", "--note", WORD],
            cwd=directory,
            env={"WORD": WORD},
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


def test_a_process_that_has_the_number_of_the_crashed_one_is_not_asked(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    private = scratch / WORD
    private.mkdir(mode=0o700)
    with living_asterisk(programs, spool, user=ASTERISK) as asterisk:
        die_of(asterisk, signal.SIGSEGV)
    with another_process(asterisk.pid, programs, private):
        running.start()
        (recorded,) = running.wait_for_crashes(1)

    assert recorded.process.pid == asterisk.pid
    assert recorded.process.command_line == f"{programs}/asterisk wait"
    files = [path for path in running.store.directory(recorded.id).iterdir() if path.is_file()]
    assert [path.name for path in files if WORD.encode() in path.read_bytes()] == []


def test_the_memory_of_a_setuid_program_stays_with_root(
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
    assert as_asterisk("find", running.store.root, "-readable", check=False).stdout == ""


def test_a_core_in_work_is_no_longer_its_owners(running: RunningDaemon, programs: Path, spool: Path) -> None:
    with held_up(running, spool) as gdb_is_started:
        running.start()
        core = crash_as_asterisk(programs / "asterisk", spool, "segv")
        gdb_is_started()
        for attempt in (["cat"], ["truncate", "-s", "0"], ["chmod", "666"]):
            assert as_asterisk(*attempt, core, check=False).returncode != 0


@pytest.fixture
def apart(spool: Path, programs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An Asterisk in a mount name space of its user's own making, where its directory is another one."""
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
        pytest.skip("this kernel gives users no name spaces")
    yield process
    process.kill()
    process.wait()


def test_a_name_space_of_the_asterisk_users_is_not_entered(
    running: RunningDaemon, spool: Path, apart: "subprocess.Popen[bytes]"
) -> None:
    running.configure({})
    running.start()

    assert f"Asterisk, pid {apart.pid}: its working directory {spool} is private to it" in running.output()
    write_core(spool / "core", 1)
    die_of(apart, signal.SIGSEGV)
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration reloaded" in running.output(), "another look")
    running.stop()
    assert running.crashes() == []
    assert os.listdir(spool) == ["core"]
