"""The user that gdb runs as, what it can read, and the command line that limits it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import (
    SandboxUser,
    find_sandbox_user,
    grant_read,
    kill_leftovers,
    sandboxed_command,
)
from astbtd.lib import subprocesses
from astbtd.settings import GdbSettings

OURSELVES = SandboxUser(os.geteuid(), os.getegid(), switched=False)
OTHER = SandboxUser(65534, os.getegid(), switched=True)
UNUSED = SandboxUser(64_999, 64_999, switched=True)  # all of its processes are killed


def test_without_root_gdb_runs_as_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert find_sandbox_user("astbtd-gdb") == SandboxUser(1000, os.getegid(), switched=False)


def test_root_needs_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(AstbtdError, match="user no-such-user does not exist") as raised:
        find_sandbox_user("no-such-user")
    assert "useradd" in raised.value.remedy


def test_gdb_never_runs_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(AstbtdError, match="must not run as root"):
        find_sandbox_user("root")
    nobody = pwd.getpwnam("nobody")
    assert find_sandbox_user("nobody") == SandboxUser(nobody.pw_uid, nobody.pw_gid, switched=True)


@pytest.mark.parametrize(
    ("mode", "group", "expected"),
    [
        (0o640, OTHER.gid, True),
        (0o604, OTHER.gid, False),  # the group's bits apply to its members, not those for others
        (0o604, OTHER.gid + 1, True),
        (0o640, OTHER.gid + 1, False),
    ],
)
def test_the_mode_decides_whether_another_user_may_read(mode: int, group: int, expected: bool) -> None:
    status = os.stat_result((0o100000 | mode, 0, 0, 1, 0, group, 0, 0, 0, 0))

    assert OTHER.may_read(status) is expected


def test_another_user_cannot_read_in_a_private_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o644)
    tmp_path.chmod(0o700)

    assert not OTHER.can_read(str(tmp_path / "file"))
    assert not OTHER.can_read(str(tmp_path / "missing"))
    assert OTHER.can_read("/etc/passwd")
    assert OURSELVES.can_read(str(tmp_path / "file"))


def test_read_access_is_granted_during_the_block_only(tmp_path: Path) -> None:
    core = tmp_path / "core"
    core.write_text("core")
    core.chmod(0o600)
    with core.open("rb") as file, grant_read(file.fileno(), OTHER) as readable:
        during = core.stat().st_mode & 0o777
        content = os.pread(readable, 10, 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(readable, b"x")

    assert (during, content) == (0o640, b"core")
    assert core.stat().st_mode & 0o777 == 0o600


def test_the_command_line_of_another_user_drops_all_privileges() -> None:
    command = sandboxed_command(["gdb", "--batch"], OTHER, GdbSettings())

    assert [os.path.basename(word) for word in command[-2:]] == ["gdb", "--batch"]
    expected = {f"--reuid={OTHER.uid}", f"--regid={OTHER.gid}", "--clear-groups", "--bounding-set=-all", "--nproc=32"}
    assert expected <= set(command)


@pytest.mark.skipif(shutil.which("chrt") is None or shutil.which("setpriv") is None, reason="util-linux is missing")
def test_no_program_is_searched_for_along_the_path_each_time() -> None:
    command = sandboxed_command(["gdb", "--batch"], OTHER, GdbSettings())

    programs = {word for word in command if os.path.basename(word) in {"chrt", "ionice", "nice", "setpriv", "prlimit"}}
    assert len(programs) == 5
    assert all(os.path.isabs(word) for word in (*programs, command[command.index("--batch") - 1]))


def test_the_limits_apply_to_the_program() -> None:
    script = "ulimit -t; ulimit -c; chrt -p $$"

    command = sandboxed_command(["sh", "-c", script], OURSELVES, GdbSettings(time=7.0))

    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert output[:2] == ["7", "0"]
    assert output[2].endswith("SCHED_IDLE")


@pytest.mark.root
def test_what_is_left_of_gdb_is_killed_even_if_the_first_attempt_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[Sequence[str]] = []
    run_command = subprocesses.output

    def run_from_the_second_time_on(argv: Sequence[str], **options: Any) -> object:
        attempts.append(argv)
        return run_command(argv, **options) if len(attempts) > 1 else None

    monkeypatch.setattr(subprocesses, "output", run_from_the_second_time_on)
    with kill_leftovers(UNUSED):
        left = subprocess.Popen(["sleep", "1000"], user=UNUSED.uid)

    assert len(attempts) >= 2
    assert not Path(f"/proc/{left.pid}").exists()
    left.returncode = 0  # it was reaped already
