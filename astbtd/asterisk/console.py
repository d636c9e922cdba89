"""Asks a running Asterisk one question on its control socket, as `asterisk -rx` does, without running anything.

`asterisk -rx` evaluates asterisk.conf, which the asterisk user may write; root must not. The protocol is that of
netconsole() in Asterisk's main/asterisk.c: a command behind `cli quit after `, ended by a zero byte; what comes back is
a line with host, pid and version, then the answer, then the end.
"""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.errors import AstbtdError

CONTROL_SOCKET = "asterisk.ctl"

_LONGEST_ANSWER = 16 << 20  # bytes


@dataclass(frozen=True)
class Answer:
    """What was said, as far as it came. `pid` is the process that listens there, None if none is known to.

    `why_not` is why there is no answer; `in_time` is False where that is for waiting in vain.
    """

    text: str
    pid: int | None = None
    why_not: str = ""
    in_time: bool = True


def ask(path: str, pid: int, command: str, seconds: float) -> str:
    """What the Asterisk of process `pid`, which listens at `path`, answers. Raises AstbtdError.

    Nothing is said to any other process that may listen there.
    """
    answer = ask_patiently(path, pid, command, seconds)
    if answer.why_not:
        raise AstbtdError(answer.why_not)
    return answer.text


def ask_patiently(path: str, pid: int | None, command: str, seconds: float) -> Answer:
    """The same, or how far it came; with `pid` None, whoever listens there is asked."""
    deadline = time.monotonic() + seconds
    listener = None
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            listener = _listener(connection)
            if pid not in (None, listener):
                return Answer("", None, f"process {listener} listens there, not Asterisk's {pid}")
            connection.sendall(f"cli quit after {command}".encode() + b"\0")
            _receive(connection, deadline, parts)
    except (TimeoutError, BlockingIOError):  # the latter where nobody accepts, and the queue is full
        return Answer(_answer(parts), listener, f"{path}: no answer in time", in_time=False)
    except OSError as error:
        return Answer(_answer(parts), listener, f"{path}: {error.strerror or error}")
    return Answer(_answer(parts), listener)


def _listener(connection: socket.socket) -> int:
    layout = struct.Struct("3i")
    pid, _, _ = layout.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    return int(pid)


def _receive(connection: socket.socket, deadline: float, parts: list[bytes]) -> None:
    """Adds to `parts` what comes until the end; what came before an error is there as well."""
    while sum(map(len, parts)) < _LONGEST_ANSWER:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(65536)
        if not part:
            return
        parts.append(part)


def _answer(parts: Sequence[bytes]) -> str:
    """What follows the greeting."""
    return b"".join(parts).decode(errors="replace").partition("\n")[2]
