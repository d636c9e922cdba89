"""Notifications to the service manager, which never block for long."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce import systemd
from tests.support.sockets import fill_queue


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of a service manager that reads only when the test does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def fill(manager: socket.socket) -> int:
    """Send until the queue is full; return the number of messages sent."""
    return fill_queue(manager.getsockname(), b"STATUS=more")


def test_a_state_is_sent(manager: socket.socket) -> None:
    assert systemd.notify("READY=1")

    assert manager.recv(100) == b"READY=1"


def test_an_address_with_an_at_sign_is_abstract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{tmp_path}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")

        assert systemd.notify("WATCHDOG=1")

        assert listening.recv(100) == b"WATCHDOG=1"


def test_a_stuck_manager_does_not_block(manager: socket.socket) -> None:
    sent = fill(manager)

    assert not systemd.notify("STATUS=idle", timeout=0.0)

    for _ in range(sent):
        manager.recv(100)
    assert systemd.notify("STATUS=idle", timeout=0.0)
    assert manager.recv(100) == b"STATUS=idle"


def test_a_missing_manager_is_not_an_error(manager: socket.socket) -> None:
    Path(manager.getsockname()).unlink()

    assert not systemd.notify("READY=1")


def test_without_a_service_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert systemd.notify("READY=1")
