"""What the service manager is told: it is never waited for without end."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from astbtd.announce import systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The receiving end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def fill(manager: socket.socket) -> int:
    """Sends until no more is taken; returns how much was."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(BlockingIOError):
        sender.setblocking(False)
        sender.connect(manager.getsockname())
        while sender.send(b"STATUS=more"):
            sent += 1
    return sent


def test_a_state_is_told(manager: socket.socket) -> None:
    assert systemd.notify("READY=1")

    assert manager.recv(100) == b"READY=1"


def test_an_abstract_address_begins_with_an_at_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{tmp_path}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")

        assert systemd.notify("WATCHDOG=1")

        assert listening.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_takes_no_more_is_not_waited_for(manager: socket.socket) -> None:
    sent = fill(manager)

    assert not systemd.notify("STATUS=idle", patience=0.0)

    for _ in range(sent):
        manager.recv(100)
    assert systemd.notify("STATUS=idle", patience=0.0)
    assert manager.recv(100) == b"STATUS=idle"


def test_a_manager_that_is_gone_is_no_error(manager: socket.socket) -> None:
    Path(manager.getsockname()).unlink()

    assert not systemd.notify("READY=1")


def test_without_a_manager_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert systemd.notify("READY=1")
