"""Links for gdb: only to files that the process had mapped, whatever it requests."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.extraction.object_server import ObjectServer, serve_objects

LIBRARY = "/usr/lib/libasteriskssl.so.1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ObjectServer]:
    """A server for a process that had one library mapped."""
    with serve_objects(tmp_path, os.getegid()) as server:
        server.offer([LIBRARY])
        yield server


def send(server: ObjectServer, *packets: bytes) -> list[bool]:
    """Send packets; return for each whether more requests will be answered."""
    results = []
    for packet in packets:
        server.client_socket.send(packet)
        results.append(server.handle_request())
    return results


def links(directory: Path) -> dict[str, str]:
    """Return all links with their targets, by name below `directory`."""
    found = (path for path in directory.rglob("*") if path.is_symlink())
    return {str(path.relative_to(directory)): os.readlink(path) for path in found}


def test_an_object_is_linked_under_the_names_that_the_process_used(server: ObjectServer, tmp_path: Path) -> None:
    names = (b"/usr/lib/libasteriskssl.so.1", b"/lib/libasteriskssl.so.1")

    assert send(server, *(LIBRARY.encode() + b"\0" + name for name in names)) == [True, True]

    assert links(tmp_path / server.name) == {name.decode().lstrip("/"): LIBRARY for name in names}
    assert server.client_socket.recv(8) == b"\0"


def test_gdb_gets_the_core_before_its_first_request(server: ObjectServer, tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(b"a core")
    with (tmp_path / "core").open("rb") as core:
        server.send_core(core.fileno())

    _, (received,), _, _ = socket.recv_fds(server.client_socket, 1, 1)
    assert os.pread(received, 10, 0) == b"a core"
    os.close(received)


def test_the_end_of_the_backtrace_is_reported_once_and_requests_are_answered_afterwards(tmp_path: Path) -> None:
    reports: list[str] = []
    with serve_objects(tmp_path, os.getegid(), lambda: reports.append("written")) as server:
        server.offer([LIBRARY])

        assert send(server, b"written", b"written", f"{LIBRARY}\0{LIBRARY}".encode()) == [True, True, True]

        assert reports == ["written"]
        assert links(tmp_path / server.name) == {LIBRARY.lstrip("/"): LIBRARY}
        assert server.client_socket.recv(8) == b"\0"  # the only answer
        server.server_socket.close()
        assert server.client_socket.recv(8) == b""


def test_directories_for_links_are_not_writable_for_gdbs_group(server: ObjectServer, tmp_path: Path) -> None:
    server.link(LIBRARY, LIBRARY)

    directories = [tmp_path / server.name, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in directories} == {0o750}


@pytest.mark.parametrize(
    "request_",
    [
        b"/etc/shadow\0/etc/shadow",
        f"{LIBRARY}\0../../outside".encode(),
        f"{LIBRARY}\0/../outside".encode(),
        f"{LIBRARY}\0/usr/lib/../../../outside".encode(),
        f"{LIBRARY}\0outside".encode(),
        f"{LIBRARY}\0/".encode(),
        f"{LIBRARY}\0".encode(),
        f"{LIBRARY}\0/a\0/b".encode(),
        f"{LIBRARY}\0/{'a' * 2000}".encode(),
        f"{LIBRARY}\0{'/a' * 40}".encode(),
        LIBRARY.encode(),
        b"\xff\xfe\0\xff",
    ],
)
def test_an_invalid_request_creates_no_link_and_is_answered(
    server: ObjectServer, tmp_path: Path, request_: bytes
) -> None:
    assert send(server, request_) == [True]

    assert links(tmp_path) == {}
    assert os.listdir(tmp_path) == [server.name]
    assert server.client_socket.recv(8) == b"\0"


def test_no_link_is_created_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "copies").mkdir()
    with serve_objects(tmp_path / "copies", os.getegid()) as server:
        server.offer([str(outside)])
        server.link(str(outside), "/usr/lib")
        server.link(str(outside), "/usr/lib/inside")

    assert os.listdir(outside) == []


def test_the_number_of_requests_is_limited(server: ObjectServer) -> None:
    open_for_more = True
    sent = 0
    while open_for_more:
        (open_for_more,) = send(server, b"again\0/again")
        server.client_socket.recv(8)
        sent += 1

    assert sent == 2001


def test_a_client_that_reads_no_answers_gets_no_more(server: ObjectServer) -> None:
    server.client_socket.setblocking(False)
    answered = 0
    while send(server, b"again\0/again") == [True]:
        answered += 1

    assert answered < 2000
