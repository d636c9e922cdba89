"""Commands sent to Asterisk's control socket: answered, not answered, or served by another process."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.asterisk import console
from astbtd.asterisk.console import Answer
from astbtd.errors import AstbtdError
from astbtd.model.deadlock_capture import LocksCli

BANNER = b"pbx/42/22.10.0\n"
US = os.getpid()
UNKNOWN = "No such command 'core show locks' (type 'core show help core show locks' for other possible commands)\n"


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Listen at `path`, and handle one connection with `serve`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "asterisk.ctl"


def test_the_answer_to_a_command_is_returned_without_the_banner(path: Path) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        received.append(connection.recv(100))
        connection.sendall(b"Uptime: 5\n")
        connection.sendall(b"Last reload: 5\n")

    with listening(path, serve):
        answer = console.ask(str(path), US, "core show uptime", 60)

    assert answer == "Uptime: 5\nLast reload: 5\n"
    assert received == [b"cli quit after core show uptime\0"]


def test_nothing_is_sent_to_another_process(path: Path) -> None:
    received = []
    refused = pytest.raises(AstbtdError, match=f"process {US} listens at .*, not Asterisk's 1")

    with listening(path, lambda connection: received.append(connection.recv(100))), refused:
        console.ask(str(path), 1, "core show uptime", 60)

    assert received == [b""]


def test_asking_an_asterisk_that_hangs_fails_after_the_time_limit(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        while connection.recv(100):
            pass

    with listening(path, serve), pytest.raises(AstbtdError, match="no answer in time"):
        console.ask(str(path), US, "core show uptime", 0.1)


def test_an_endless_answer_is_cut(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            return

    with listening(path, serve):
        assert console.ask(str(path), US, "core show uptime", 60) == ""


def test_a_missing_socket_is_an_error(path: Path) -> None:
    with pytest.raises(AstbtdError, match="No such file or directory"):
        console.ask(str(path), US, "core show uptime", 60)


def test_an_incomplete_answer_is_returned_with_the_reason(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER + b"=== Thread")
        while connection.recv(100):
            pass

    with listening(path, serve):
        answer = console.try_ask(str(path), None, "core show locks", 0.5)

    assert (answer.text, answer.pid, answer.in_time) == ("=== Thread", US, False)


def test_a_full_backlog_counts_as_a_timeout(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before:
        listener.bind(str(path))
        listener.listen(0)
        before.connect(str(path))

        answer = console.try_ask(str(path), None, "core show uptime", 0.1)

    assert (answer.pid, answer.in_time) == (None, False)


def test_a_refused_connection_does_not_count_as_a_timeout(path: Path) -> None:
    answer = console.try_ask(str(path), None, "core show uptime", 60)

    assert (answer.text, answer.pid, answer.in_time) == ("", None, True)


@pytest.mark.parametrize(
    ("answer", "outcome", "expected"),
    [
        (Answer("=== Currently Held Locks\n", 7), LocksCli.OK, "=== Currently Held Locks\n"),
        (Answer(UNKNOWN, 7), LocksCli.UNAVAILABLE, UNKNOWN),
        (Answer("", 7), LocksCli.UNAVAILABLE, "`core show locks` failed: no answer\n"),
        (Answer("", None, "p: gone"), LocksCli.UNAVAILABLE, "`core show locks` failed: p: gone\n"),
        (
            Answer("=== Thr", 7, "p: no answer in time", in_time=False),
            LocksCli.TIMEOUT,
            "=== Thr\n`core show locks` was not answered within 10 s.\n",
        ),
    ],
)
def test_the_list_of_locks_or_the_reason_why_there_is_none(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, outcome: LocksCli, expected: str
) -> None:
    monkeypatch.setattr(console, "try_ask", lambda *_: answer)

    assert console.list_locks(Path("/run/asterisk/asterisk.ctl"), 7, 10.0) == (outcome, expected)
