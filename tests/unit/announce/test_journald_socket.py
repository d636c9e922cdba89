"""Entries of any length reach journald complete, and a stuck journald does not block."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce import journald_socket, systemd
from astbtd.announce.journal import PendingEntries, Priority
from astbtd.announce.journald_socket import JournalUnavailable


@pytest.fixture
def journald(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a journald that reads only when the test does."""
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "socket")
    monkeypatch.delenv(systemd.LOG_TARGET, raising=False)
    monkeypatch.setattr(systemd._JournalTimeout, "seconds", 0.01)
    monkeypatch.setattr(systemd, "_TIMEOUT", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(journald_socket.SOCKET))
        listening.setblocking(False)
        yield listening


def received(journald: socket.socket) -> dict[str, str]:
    """Read and decode the next entry as journald does."""
    data, descriptors, _, _ = socket.recv_fds(journald, 1 << 20, 1)
    for descriptor in descriptors:
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        os.close(descriptor)
    fields = {}
    while data:
        name, _, rest = data.partition(b"\n")
        length = int.from_bytes(rest[:8], "little")
        fields[name.decode()] = rest[8 : 8 + length].decode()
        assert rest[8 + length : 9 + length] == b"\n"
        data = rest[9 + length :]
    return fields


def fill() -> int:
    """Send until the journal accepts no more; return the number of entries accepted."""
    accepted = 0
    while True:
        try:
            systemd.send(f"entry {accepted}", 6, {})
        except JournalUnavailable:
            return accepted
        accepted += 1


@pytest.mark.parametrize("value", ["", "one line", "two\nlines=x\n", "größer \udcff", "x" * 500_000])
def test_an_entry_arrives_unchanged(journald: socket.socket, value: str) -> None:
    systemd.send("message", 4, {"ASTBTD_RECORD": value})

    assert received(journald) == {
        "MESSAGE": "message",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "astbtd",
        "ASTBTD_RECORD": value.encode(errors="replace").decode(),
    }


@pytest.mark.usefixtures("journald")
def test_a_stuck_journald_raises_an_error() -> None:
    assert fill() > 0

    with pytest.raises(JournalUnavailable, match="journald does not answer"):
        systemd.send("one more", 6, {})


def test_a_socket_without_a_journald_raises_an_error(journald: socket.socket) -> None:
    journald.close()

    with pytest.raises(JournalUnavailable, match="refused"):
        systemd.send("message", 6, {})


def test_pending_entries_are_sent_later_in_order(journald: socket.socket) -> None:
    accepted = fill()
    pending = PendingEntries()
    for message in ("first", "second"):
        pending.send(message, Priority.INFO, {})
    assert (len(pending), pending.deliver()) == (2, False)

    for _ in range(accepted):
        received(journald)

    assert pending.deliver()
    assert [received(journald)["MESSAGE"] for _ in range(2)] == ["first", "second"]
    assert len(pending) == 0


def test_the_oldest_of_very_many_pending_entries_are_dropped(journald: socket.socket) -> None:
    accepted = fill()
    pending = PendingEntries()

    for number in range(1001):
        pending.send(f"waiting {number}", Priority.INFO, {})

    for _ in range(accepted):
        received(journald)
    assert len(pending) == 1000
    assert not pending.deliver() or accepted >= 1000
    assert received(journald)["MESSAGE"] == "waiting 1"


def test_without_journald_an_entry_is_a_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "none")
    monkeypatch.delenv(systemd.LOG_TARGET, raising=False)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)

    systemd.send("message", 6, {})

    assert capsys.readouterr().err == "astbtd: message\n"


def test_a_journald_that_is_down_is_not_replaced_by_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "none")
    monkeypatch.delenv(systemd.LOG_TARGET, raising=False)
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")

    with pytest.raises(JournalUnavailable):
        systemd.send("message", 6, {})


@pytest.mark.usefixtures("journald")
def test_with_the_log_target_stderr_an_entry_is_a_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(systemd.LOG_TARGET, "stderr")

    systemd.send("message", 6, {})

    assert capsys.readouterr().err == "astbtd: message\n"
