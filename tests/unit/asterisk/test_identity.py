"""Which crashes and processes are the PBX's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd.asterisk.identity import PbxIdentity

PBX, OTHER = 65534, 4321
IDENTITY = PbxIdentity(frozenset((0, PBX)))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="creates files and processes of other users")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An executable that only root can write, in directories that only root can write."""
    made = tmp_path / "bin" / "asterisk"
    made.parent.mkdir(mode=0o755)
    made.write_bytes(b"")
    made.chmod(0o755)
    return made


@pytest.mark.parametrize(("uid", "owner"), [(PBX, PBX), (PBX, 0), (0, 0), (None, PBX), (PBX, None)])
def test_a_crash_of_a_known_user_is_the_pbx(uid: int | None, owner: int | None) -> None:
    assert IDENTITY.foreign_crash_reason(uid, owner, "/usr/sbin/asterisk") is None


@pytest.mark.parametrize(("uid", "owner"), [(OTHER, OTHER), (OTHER, 0), (0, OTHER), (PBX, OTHER)])
def test_a_crash_of_another_user_is_foreign(uid: int, owner: int) -> None:
    reason = IDENTITY.foreign_crash_reason(uid, owner, "/usr/sbin/asterisk")

    assert reason == "user 4321 is not a known user of the PBX"


@needs_root
def test_an_executable_that_another_user_owns_is_foreign(program: Path) -> None:
    os.chown(program, OTHER, 0)

    assert "can be written by user 4321" in str(IDENTITY.foreign_crash_reason(0, 0, str(program)))


@needs_root
def test_an_executable_in_a_directory_of_another_user_is_foreign(program: Path) -> None:
    os.chown(program.parent, OTHER, 0)

    assert "can be written by user 4321" in str(IDENTITY.foreign_crash_reason(0, 0, str(program)))


@needs_root
@pytest.mark.parametrize("owner", [0, PBX])
def test_an_executable_of_the_pbx_is_not_foreign(program: Path, owner: int) -> None:
    os.chown(program, owner, 0)
    program.parent.chmod(0o2775)  # as Debian's /usr/local: its group has no members

    os.chown(program.parent, 0, 50)

    assert IDENTITY.foreign_crash_reason(0, 0, str(program)) is None


@needs_root
def test_an_executable_that_everybody_can_write_is_foreign(program: Path) -> None:
    program.chmod(0o757)

    assert "can be written by everybody" in str(IDENTITY.foreign_crash_reason(PBX, PBX, str(program)))


@needs_root
def test_a_set_user_id_executable_is_foreign(program: Path) -> None:
    program.chmod(0o4755)

    assert "set-user-ID" in str(IDENTITY.foreign_crash_reason(0, 0, str(program)))


def test_an_executable_that_is_gone_says_nothing() -> None:
    assert IDENTITY.foreign_crash_reason(PBX, PBX, "/nonexistent/asterisk (deleted)") is None


@needs_root
@pytest.mark.parametrize(("user", "is_foreign"), [(0, False), (PBX, False), (OTHER, True)])
def test_a_process_is_judged_by_its_user(user: int, is_foreign: bool) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=user) as process:
        reason = IDENTITY.foreign_process_reason(process.pid)
        process.kill()

    assert (reason is not None) is is_foreign


@needs_root
def test_a_process_with_the_rights_of_two_users_is_foreign() -> None:
    code = f"import os, sys; os.setresuid({PBX}, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        reason = IDENTITY.foreign_process_reason(process.pid)
        process.kill()

    assert reason == "it runs with the rights of two users (set-user-ID)"


def test_a_process_that_is_gone_is_not_the_pbx() -> None:
    assert IDENTITY.foreign_process_reason(1 << 30) is not None
