"""Takes the cores that the kernel sends to a socket, as core_pattern `@PATH` and `@@PATH` have it, and keeps them.

Source: the kernel's include/uapi/linux/coredump.h and fs/coredump.c.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REQUEST = struct.Struct("=IIQ")  # its size, the answer's size, what the kernel can do
_ANSWER = struct.Struct("=IIQ")  # its size, nothing, what is wanted of it
_MARK = struct.Struct("=I")
_FROM_THE_KERNEL, _WAIT = 1 << 0, 1 << 3
_AGREED = 0
_BLOCK = 1 << 20


@contextmanager
def keeping_cores(path: Path, directory: Path, *, asked: bool) -> Iterator[None]:
    """Keeps what is sent to the socket at `path` as `core.N` in a directory; with `asked`, the server has to agree."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, directory, asked))
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, directory: Path, asked: bool) -> None:
    number = 0
    while connection := _accepted(server):
        number += 1
        with connection, (directory / f"core.{number}").open("wb") as core:
            if asked:
                _agree(connection)
            while block := connection.recv(_BLOCK):
                core.write(block)


def _accepted(server: socket.socket) -> socket.socket | None:
    try:
        return server.accept()[0]
    except OSError:
        return None


def _agree(connection: socket.socket) -> None:
    size, _, can = _REQUEST.unpack(connection.recv(_REQUEST.size, socket.MSG_PEEK))
    connection.recv(size, socket.MSG_WAITALL)
    connection.sendall(_ANSWER.pack(_ANSWER.size, 0, can & (_FROM_THE_KERNEL | _WAIT)))
    (mark,) = _MARK.unpack(connection.recv(_MARK.size, socket.MSG_WAITALL))
    assert mark == _AGREED, mark
