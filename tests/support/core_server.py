"""A server for the cores that the kernel sends to a socket if core_pattern is `@PATH` or `@@PATH`.

Source: the kernel's include/uapi/linux/coredump.h and fs/coredump.c.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REQUEST = struct.Struct("=IIQ")  # size, size of the answer, options that the kernel supports
_ANSWER = struct.Struct("=IIQ")  # size, unused, requested options
_MARK = struct.Struct("=I")
_SEND_CORE, _WAIT = 1 << 0, 1 << 3
_REQUEST_ACCEPTED = 0
_BLOCK = 1 << 20


@contextmanager
def core_server(path: Path, directory: Path, *, negotiate: bool) -> Iterator[None]:
    """Write cores sent to the socket at `path` to `core.N` in a directory. `negotiate` selects the `@@` protocol."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, directory, negotiate))
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, directory: Path, negotiate: bool) -> None:
    number = 0
    while connection := _accept(server):
        number += 1
        with connection, (directory / f"core.{number}").open("wb") as core:
            if negotiate:
                _request_core(connection)
            while block := connection.recv(_BLOCK):
                core.write(block)


def _accept(server: socket.socket) -> socket.socket | None:
    try:
        return server.accept()[0]
    except OSError:
        return None


def _request_core(connection: socket.socket) -> None:
    size, _, options = _REQUEST.unpack(connection.recv(_REQUEST.size, socket.MSG_PEEK))
    connection.recv(size, socket.MSG_WAITALL)
    connection.sendall(_ANSWER.pack(_ANSWER.size, 0, options & (_SEND_CORE | _WAIT)))
    (mark,) = _MARK.unpack(connection.recv(_MARK.size, socket.MSG_WAITALL))
    assert mark == _REQUEST_ACCEPTED, mark
