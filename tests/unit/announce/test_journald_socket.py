"""Entries reach journald whole, whatever their length, and nobody waits for one that is stuck."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce import journald_socket, systemd
from astbtd.announce.journald_socket import JournalUnavailable
from astbtd.announce.pending_entries import PendingEntries


@pytest.fixture
def journald(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a journald that reads only when a test does."""
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "socket")
    monkeypatch.setattr(systemd._Patience, "seconds", 0.01)
    monkeypatch.setattr(systemd, "_PATIENCE", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(journald_socket.SOCKET))
        listening.setblocking(False)
        yield listening


def received(journald: socket.socket) -> dict[str, str]:
    """The next entry, as journald reads it."""
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
    """Sends until the journal takes no more; how many it took."""
    taken = 0
    while True:
        try:
            systemd.send(f"entry {taken}", 6, {})
        except JournalUnavailable:
            return taken
        taken += 1


@pytest.mark.parametrize("value", ["", "one line", "two\nlines=x\n", "größer \udcff", "x" * 500_000])
def test_an_entry_arrives_as_it_was_sent(journald: socket.socket, value: str) -> None:
    systemd.send("message", 4, {"ASTBTD_RECORD": value})

    assert received(journald) == {
        "MESSAGE": "message",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "astbtd",
        "ASTBTD_RECORD": value.encode(errors="replace").decode(),
    }


@pytest.mark.usefixtures("journald")
def test_a_journal_that_is_stuck_takes_no_more_and_is_not_waited_for() -> None:
    assert fill() > 0

    with pytest.raises(JournalUnavailable, match="it does not answer"):
        systemd.send("one more", 6, {})


def test_a_journal_of_which_only_the_socket_is_left_hears_nothing(journald: socket.socket) -> None:
    journald.close()

    with pytest.raises(JournalUnavailable, match="refused"):
        systemd.send("message", 6, {})


def test_what_was_not_taken_is_sent_later_in_its_order(journald: socket.socket) -> None:
    taken = fill()
    outbox = PendingEntries()
    for message in ("first", "second"):
        outbox.send(message, 6, {})
    assert (len(outbox), outbox.deliver()) == (2, False)

    for _ in range(taken):
        received(journald)

    assert outbox.deliver()
    assert [received(journald)["MESSAGE"] for _ in range(2)] == ["first", "second"]
    assert len(outbox) == 0


def test_of_very_many_that_wait_the_oldest_are_lost(journald: socket.socket) -> None:
    taken = fill()
    outbox = PendingEntries()

    for number in range(1001):
        outbox.send(f"waiting {number}", 6, {})

    for _ in range(taken):
        received(journald)
    assert len(outbox) == 1000
    assert not outbox.deliver() or taken >= 1000
    assert received(journald)["MESSAGE"] == "waiting 1"


def test_without_any_journald_an_entry_is_a_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "none")
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)

    systemd.send("message", 6, {})

    assert capsys.readouterr().err == "astbtd: message\n"


def test_a_journald_that_is_there_but_not_now_is_not_replaced_by_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(journald_socket, "SOCKET", tmp_path / "none")
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")

    with pytest.raises(JournalUnavailable):
        systemd.send("message", 6, {})
