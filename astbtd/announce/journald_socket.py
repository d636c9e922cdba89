"""Sends entries to journald with a timeout, in its native protocol.

sd_journal_send(3) of libsystemd blocks as long as journald is stuck. That would block the thread that has to claim the
next core. Source of the format: systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import array
import errno
import fcntl
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files

SOCKET = Path("/run/systemd/journal/socket")

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class JournalUnavailable(AstbtdError):
    """The journal did not accept an entry."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cannot write to the journal: {reason}", "systemctl restart systemd-journald")


def send(fields: Mapping[str, str], timeout: float) -> None:
    """Send one entry, waiting up to `timeout` seconds. Raise JournalUnavailable."""
    entry = b"".join(_encode_field(name, value) for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(SOCKET))  # only a connected socket can wait for space in the receiver's queue
            _send_datagram(connection, entry)
        except (TimeoutError, BlockingIOError) as error:
            raise JournalUnavailable("journald does not answer") from error
        except OSError as error:
            raise JournalUnavailable(str(error)) from error


def _encode_field(name: str, value: str) -> bytes:
    """Encode a field with its length, because a value may contain newlines."""
    data = value.encode(errors="replace")
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _send_datagram(connection: socket.socket, entry: bytes) -> None:
    try:
        connection.send(entry)
    except OSError as error:
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
            raise
        _send_as_memfd(connection, entry)


def _send_as_memfd(connection: socket.socket, entry: bytes) -> None:
    """Send an entry that is too long for a datagram as the descriptor of a sealed memory file."""
    descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        files.write_all(descriptor, entry)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        connection.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    finally:
        os.close(descriptor)
