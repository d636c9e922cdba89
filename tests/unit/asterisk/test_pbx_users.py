"""The users that the PBX runs as: what root has configured counts, what anybody can write does not."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.asterisk import asterisk_processes, pbx_users
from astbtd.asterisk.pbx_users import find_units, find_users, unit_of_process
from astbtd.asterisk.unit_files import UNIT_DIRECTORIES

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="creates files of other users")


@dataclass(frozen=True)
class Configured:
    """The settings that matter here."""

    executables: tuple[str, ...] = ("asterisk",)
    configuration: str = "/nonexistent/asterisk.conf"
    users: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory with units; no process of this machine is looked at."""
    directory = tmp_path / "units"
    directory.mkdir()
    monkeypatch.setattr(pbx_users, "find_units", lambda executables: find_units(executables, [str(directory)]))
    monkeypatch.setattr(asterisk_processes, "running_pids", lambda _: ())
    return directory


def uid(user: str) -> int:
    found = pbx_users.user_id(user)
    assert found is not None
    return found


def test_root_and_the_configured_users_are_known() -> None:
    assert {0, 4321, uid("nobody")} <= find_users(Configured(users=("nobody", "4321", "no-such-user")))


@needs_root
def test_the_user_of_a_unit_that_starts_asterisk_is_known(units: Path) -> None:
    (units / "pbx.service").write_text("[Service]\nExecStart=-/usr/sbin/asterisk -g -f\nUser=games\n")
    (units / "other.service").write_text("[Service]\nExecStart=/usr/bin/true\nUser=nobody\n")

    users = find_users(Configured())

    assert uid("games") in users
    assert uid("nobody") not in users


@needs_root
@needs_root
@pytest.mark.parametrize(
    "command",
    [
        'sh -c "exec /usr/sbin/asterisk -f <>/run/asterisk/input"',
        '/bin/sh -e -c "umask 027; TERM=dumb /usr/sbin/asterisk -f"',
        "/bin/bash -c 'cd /tmp && (asterisk -f)'",
    ],
)
def test_the_user_of_a_unit_that_starts_asterisk_with_a_shell_is_known(units: Path, command: str) -> None:
    (units / "asterisk.service").write_text(f"[Service]\nExecStart={command}\nUser=nobody\n")

    assert NOBODY in find_users(Configured())


@needs_root
@pytest.mark.parametrize("command", ["/usr/bin/tail -F /var/log/asterisk", 'sh -c "ls /etc/asterisk; echo asterisk"'])
def test_a_unit_that_only_mentions_asterisk_does_not_start_it(units: Path, command: str) -> None:
    (units / "logs.service").write_text(f"[Service]\nExecStart={command}\nUser=nobody\n")

    assert NOBODY not in find_users(Configured())


def test_a_drop_in_changes_the_user_of_a_unit(units: Path) -> None:
    (units / "pbx.service").write_text("[Service]\nExecStart=/usr/sbin/asterisk -f\nUser=games\n")
    (units / "pbx.service.d").mkdir()
    (units / "pbx.service.d" / "user.conf").write_text("[Service]\nUser=nobody\n")

    users = find_users(Configured())

    assert uid("nobody") in users
    assert uid("games") not in users


@needs_root
@pytest.mark.parametrize("command", ["asterisk -U games", "/usr/sbin/safe_asterisk -U games"])
def test_the_user_that_asterisk_is_to_change_to_is_known(units: Path, command: str) -> None:
    (units / "pbx.service").write_text(f"[Service]\nExecStart={command}\n")

    assert uid("games") in find_users(Configured())


@needs_root
def test_a_unit_file_that_others_can_write_does_not_count(units: Path) -> None:
    writable = units / "pbx.service"
    writable.write_text("[Service]\nExecStart=/usr/sbin/asterisk\nUser=games\n")
    writable.chmod(0o666)

    assert uid("games") not in find_users(Configured())


@needs_root
@pytest.mark.parametrize(("owner", "is_known"), [(0, True), (NOBODY, False)])
def test_runuser_counts_if_the_configuration_is_roots(tmp_path: Path, owner: int, is_known: bool) -> None:
    configuration = tmp_path / "asterisk.conf"
    configuration.write_text("[options]\nrunuser = games\n")
    os.chown(configuration, owner, owner)

    assert (uid("games") in find_users(Configured(configuration=str(configuration)))) is is_known


@needs_root
def test_users_are_remembered_when_their_source_is_gone(units: Path, tmp_path: Path) -> None:
    unit = units / "pbx.service"
    unit.write_text("[Service]\nExecStart=/usr/sbin/asterisk\nUser=games\n")
    before = find_users(Configured(users=("4321",)), tmp_path / "memory")
    unit.unlink()

    after = find_users(Configured(), tmp_path / "memory")

    assert after == before - {4321}


def test_a_memory_that_cannot_be_read_once_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, read_bytes = tmp_path / "memory", Path.read_bytes

    def fail(path: Path) -> bytes:
        if path == memory:
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    memory.write_text("[4321]")
    monkeypatch.setattr(pbx_users, "_users_of_started", lambda *_: iter((NOBODY,)))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fail)
        assert NOBODY in find_users(Configured(), memory)

    assert {NOBODY, 4321} <= find_users(Configured(), memory)


def test_a_damaged_memory_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b'{"\xff')

    assert find_users(Configured(), tmp_path / "memory") == {0, os.geteuid()}


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/asterisk.service", "asterisk.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/asterisk.service", "user@1000.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope", "session-2.scope"),
        ("0::/", None),
    ],
)
def test_a_process_belongs_to_the_outermost_service_or_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, unit: str | None
) -> None:
    monkeypatch.setattr(pbx_users, "_PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(f"{cgroup}\n")

    assert unit_of_process(7) == unit


@pytest.mark.parametrize("command", ['"/usr/sbin/asterisk" "-f"', '@/usr/sbin/asterisk "/usr/sbin/asterisk" "-f"'])
@needs_root
def test_a_transient_unit_counts_as_systemd_run_writes_it(tmp_path: Path, command: str) -> None:
    transient = tmp_path / "transient"
    transient.mkdir()
    text = f"# This is a transient unit file\n[Service]\nExecStart=\nExecStart={command}\nUser=games\n"
    (transient / "pbx.service").write_text(text)

    (unit,) = find_units(("asterisk",), [str(transient)]).values()

    assert unit.user == "games"
    assert "/run/systemd/transient" in UNIT_DIRECTORIES
