"""Asking Asterisk's console: over a socket that it may not answer on, or that somebody else listens on."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.asterisk import console
from astbtd.errors import AstbtdError

BANNER = b"pbx/42/22.10.0\n"
US = os.getpid()


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Something that listens there, and treats one visitor as `serve` does."""
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


def test_the_command_is_sent_as_asterisk_wants_it_and_the_answer_comes_without_the_banner(path: Path) -> None:
    heard = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        heard.append(connection.recv(100))
        connection.sendall(b"Uptime: 5\n")
        connection.sendall(b"Last reload: 5\n")

    with listening(path, serve):
        answer = console.ask(str(path), US, "core show uptime", 60)

    assert answer == "Uptime: 5\nLast reload: 5\n"
    assert heard == [b"cli quit after core show uptime\0"]


def test_nothing_is_said_to_another_process(path: Path) -> None:
    heard = []
    refused = pytest.raises(AstbtdError, match=f"process {US} listens there, not Asterisk's 1")

    with listening(path, lambda connection: heard.append(connection.recv(100))), refused:
        console.ask(str(path), 1, "core show uptime", 60)

    assert heard == [b""]


def test_an_asterisk_that_hangs_is_not_waited_for(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        while connection.recv(100):
            pass

    with listening(path, serve), pytest.raises(AstbtdError, match="no answer in time"):
        console.ask(str(path), US, "core show uptime", 0.1)


def test_one_that_talks_without_end_is_cut(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            return

    with listening(path, serve):
        assert console.ask(str(path), US, "core show uptime", 60) == ""


def test_a_socket_that_is_not_there(path: Path) -> None:
    with pytest.raises(AstbtdError, match="No such file or directory"):
        console.ask(str(path), US, "core show uptime", 60)


def test_how_far_an_answer_came_is_known(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(BANNER + b"=== Thread")
        while connection.recv(100):
            pass

    with listening(path, serve):
        answer = console.ask_patiently(str(path), None, "core show locks", 0.5)

    assert (answer.text, answer.pid, answer.in_time) == ("=== Thread", US, False)


def test_where_nobody_accepts_there_is_no_answer_in_time(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before:
        listener.bind(str(path))
        listener.listen(0)
        before.connect(str(path))

        answer = console.ask_patiently(str(path), None, "core show uptime", 0.1)

    assert (answer.pid, answer.in_time) == (None, False)


def test_where_nobody_listens_nobody_is_waited_for(path: Path) -> None:
    answer = console.ask_patiently(str(path), None, "core show uptime", 60)

    assert (answer.text, answer.pid, answer.in_time) == ("", None, True)
