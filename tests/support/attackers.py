"""The users of the attack tests, and what they can do: run commands, crash, put cores into their directories."""

import shutil
import subprocess
from pathlib import Path

from tests.support.builders import DeadProcess
from tests.support.harness import allow_cores

ASTERISK, ASTERISK_GROUP = "nobody", "nogroup"
"""The user and the group that Asterisk runs as: an account without privileges."""

OTHER_USER = "games"
"""An account that has nothing to do with Asterisk."""

VICTIM_PID = 666
"""The process id in a core that does not belong to the attacker."""

FileState = tuple[int, int, int, int, int, bytes]
"""Owner, group, mode, number of links, time of modification and content of a file."""


def run_as_asterisk(
    *argv: str | Path, cwd: Path | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a command as the asterisk user."""
    return subprocess.run(
        argv,
        cwd=cwd,
        user=ASTERISK,
        group=ASTERISK_GROUP,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=check,
    )


def crash_as_asterisk(program: Path, directory: Path, *arguments: str) -> Path:
    """Run a program that crashes in `directory` as the asterisk user. Return its core."""
    allow_cores()
    done = run_as_asterisk(program, *arguments, cwd=directory, check=False)
    assert done.returncode < 0, f"{program} {arguments} did not crash: {done}"
    return directory / "core"


def write_core(path: Path, pid: int, owner: str = ASTERISK) -> Path:
    """Put the core of a process with this id at `path`, complete and with its final owner."""
    unwatched = path.parent.parent / f"made-{path.name}"
    unwatched.write_bytes(DeadProcess(pid=pid, random=pid.to_bytes(16, "big")).core())
    shutil.chown(unwatched, owner)
    unwatched.chmod(0o600)
    return unwatched.rename(path)


def file_state(path: Path) -> FileState:
    """Return all of a file that an operation on it can change, except its name."""
    status = path.lstat()
    return status.st_uid, status.st_gid, status.st_mode, status.st_nlink, status.st_mtime_ns, path.read_bytes()
