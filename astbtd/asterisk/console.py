"""Send a CLI command to a running Asterisk through its control socket, as `asterisk -rx` does, without running it.

`asterisk -rx` evaluates asterisk.conf, which the asterisk user can write, so root must not run it. The protocol is that
of netconsole() in Asterisk's main/asterisk.c: send `cli quit after COMMAND` and a NUL byte; receive a banner line with
host, pid and version, then the output of the command, then the end of the stream.
"""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.model.deadlock_capture import LocksCli

CONTROL_SOCKET = "asterisk.ctl"

_MAX_ANSWER_BYTES = 16 << 20
_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_LOCKS_COMMAND = "core show locks"
_UNKNOWN_COMMAND = "No such command"


@dataclass(frozen=True)
class Answer:
    """What was received, even if incomplete. `pid` is the process that listens on the socket, None if unknown.

    `error` says why the answer is missing or incomplete; `in_time` is False if the time limit was the reason.
    """

    text: str
    pid: int | None = None
    error: str = ""
    in_time: bool = True


def ask(path: str, pid: int, command: str, seconds: float) -> str:
    """Return the output of a command from the Asterisk with process id `pid`, which listens at `path`.

    Nothing is sent to another process that listens there. Raise AstbtdError if there is no answer in `seconds`.
    """
    answer = try_ask(path, pid, command, seconds)
    if answer.error:
        raise AstbtdError(answer.error)
    return answer.text


def try_ask(path: str, pid: int | None, command: str, seconds: float) -> Answer:
    """Return the answer to a command, complete or not; with `pid` None, accept any process that listens there."""
    deadline = time.monotonic() + seconds
    listener = None
    received: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            listener = _peer_pid(connection)
            if pid not in (None, listener):
                return Answer("", None, f"process {listener} listens at {path}, not Asterisk's {pid}")
            connection.sendall(f"cli quit after {command}".encode() + b"\0")
            _receive(connection, deadline, received)
    except (TimeoutError, BlockingIOError):  # BlockingIOError: nobody accepts, and the backlog is full
        return Answer(_without_banner(received), listener, f"{path}: no answer in time", in_time=False)
    except OSError as error:
        return Answer(_without_banner(received), listener, f"{path}: {error.strerror or error}")
    return Answer(_without_banner(received), listener)


def list_locks(path: Path, pid: int, seconds: float) -> tuple[LocksCli, str]:
    """Ask for Asterisk's own list of locks, which only builds with DEBUG_THREADS have.

    Return the outcome, and the output or the reason why there is none. The command may hang in the very deadlock that
    is investigated.
    """
    answer = try_ask(str(path), pid, _LOCKS_COMMAND, seconds)
    if not answer.in_time:
        partial = f"{answer.text}\n" if answer.text else ""
        return LocksCli.TIMEOUT, f"{partial}`{_LOCKS_COMMAND}` was not answered within {seconds:g} s.\n"
    if not answer.text:
        return LocksCli.UNAVAILABLE, f"`{_LOCKS_COMMAND}` failed: {answer.error or 'no answer'}\n"
    if answer.text.startswith(_UNKNOWN_COMMAND):
        return LocksCli.UNAVAILABLE, answer.text
    return LocksCli.OK, answer.text


def _peer_pid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    return int(_PEER_CREDENTIALS.unpack(credentials)[0])


def _receive(connection: socket.socket, deadline: float, received: list[bytes]) -> None:
    """Append what arrives until the end of the stream to `received`, which keeps it if an error is raised."""
    while sum(map(len, received)) < _MAX_ANSWER_BYTES:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(65536)
        if not part:
            return
        received.append(part)


def _without_banner(received: Sequence[bytes]) -> str:
    return b"".join(received).decode(errors="replace").partition("\n")[2]
