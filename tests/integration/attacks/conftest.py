"""What the attacks share: the asterisk user, who owns the directory that the daemon watches, and what is not his."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.builders import DeadProcess
from tests.support.harness import RunningDaemon, allow_cores

ASTERISK, ASTERISKS_GROUP = "nobody", "nogroup"
"""An account without any power stands for the asterisk user."""

STRANGER = "games"
"""An account that has nothing to do with it."""

VICTIM = 666
"""The process id in a core that is none of the attacker's."""

# A gdb that says nothing, so that much happens in little time.
SILENT = "#!/bin/sh\necho Python scripting is not supported in this copy of GDB.\n"

# A gdb that tells that it was started, and goes on when it is let.
PATIENT = """#!/bin/sh
echo started
read line <{gate}
exec gdb "$@"
"""

Seen = tuple[int, int, int, int, int, bytes]


@pytest.fixture
def spool(scratch: Path) -> Path:
    """Where Asterisk works: its user may do there what he likes."""
    directory = scratch / "asterisk" / "spool"
    directory.mkdir(parents=True)
    for each in (directory, directory.parent):
        shutil.chown(each, ASTERISK, ASTERISKS_GROUP)
    return directory


def use_gdb(running: RunningDaemon, spool: Path, script: str, **settings: object) -> None:
    """Has the daemon use a program of the test's as gdb."""
    program = running.configuration.with_name("gdb")
    program.write_text(script)
    program.chmod(0o755)
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(program)}, **settings})


@contextmanager
def held_up(running: RunningDaemon, spool: Path) -> Iterator[Callable[[], None]]:
    """Has gdb wait for as long as the context lasts; what is given waits until one was started."""
    path = running.configuration.with_name("gate")
    os.mkfifo(path)
    path.chmod(0o644)
    use_gdb(running, spool, PATIENT.format(gate=path))
    gate = os.open(path, os.O_RDWR)

    def is_started() -> bool:
        return any("started" in log.read_text() for log in running.store.incoming.glob("*/gdb.log"))

    try:
        yield lambda: running.wait_until(is_started, "gdb to be started")
    finally:
        os.write(gate, b"\n" * 100)
        running.wait_for_crashes(1)
        os.close(gate)


def as_asterisk(*argv: str | Path, cwd: Path | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """What a command does that the asterisk user runs."""
    return subprocess.run(
        argv,
        cwd=cwd,
        user=ASTERISK,
        group=ASTERISKS_GROUP,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=check,
    )


def crash_as_asterisk(program: Path, directory: Path, *arguments: str) -> Path:
    """Lets a program of the asterisk user's crash in `directory`; returns its core."""
    allow_cores()
    done = as_asterisk(program, *arguments, cwd=directory, check=False)
    assert done.returncode < 0, f"{program} {arguments} did not crash: {done}"
    return directory / "core"


def write_core(path: Path, pid: int, owner: str = ASTERISK) -> Path:
    """Puts the core of a process in place, as if it had just died."""
    made = path.parent.parent / f"made-{path.name}"  # not where it is watched for
    made.write_bytes(DeadProcess(pid=pid, random=pid.to_bytes(16, "big")).core())
    shutil.chown(made, owner)
    made.chmod(0o600)
    return made.rename(path)


def on_a_terminal(running: RunningDaemon, words: Sequence[str], **environment: str) -> bytes:
    """What a command sends to a terminal."""
    leader, terminal = pty.openpty()
    command = [sys.executable, "-m", "astbtd", "--config", str(running.configuration), *words]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, env={**os.environ, **environment}) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(leader, 1 << 16):
                shown += piece
        except OSError:  # EIO: nobody has the terminal open any more
            os.close(leader)
    assert process.returncode == 0
    return shown


def seen(path: Path) -> Seen:
    """Everything of a file that changes when somebody does anything to it, but to its name."""
    status = path.lstat()
    return status.st_uid, status.st_gid, status.st_mode, status.st_nlink, status.st_mtime_ns, path.read_bytes()
