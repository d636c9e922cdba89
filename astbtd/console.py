"""Asks a running Asterisk one question on its control socket, as `asterisk -rx` does, without running anything.

`asterisk -rx` evaluates asterisk.conf, which the asterisk user may write; root must not. The protocol is that of
netconsole() in Asterisk's main/asterisk.c: a command behind `cli quit after `, ended by a zero byte; what comes back is
a line with host, pid and version, then the answer, then the end.
"""

import os
import socket
import struct
import time

from astbtd.errors import AstbtdError

CONTROL_SOCKET = "asterisk.ctl"

_LONGEST_ANSWER = 1 << 20


def ask(path: str, pid: int, command: str, seconds: float) -> str:
    """What the Asterisk of process `pid`, which listens at `path`, answers. Raises AstbtdError.

    Nothing is said to any other process that may listen there.
    """
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            _refuse_others(connection, pid)
            connection.sendall(f"cli quit after {command}".encode() + b"\0")
            return _all_of(connection, deadline).partition("\n")[2]
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "no answer in time"
        raise AstbtdError(f"{path}: {reason}") from error


def _refuse_others(connection: socket.socket, pid: int) -> None:
    layout = struct.Struct("3i")
    listener, _, _ = layout.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    if listener != pid:
        raise AstbtdError(f"process {listener} listens there, not Asterisk's {pid}")


def _all_of(connection: socket.socket, deadline: float) -> str:
    answer = b""
    while len(answer) < _LONGEST_ANSWER:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(65536)
        if not part:
            break
        answer += part
    return answer.decode(errors="replace")
