"""Hands entries to journald, and waits only so long for it; libsystemd waits for a journald that is stuck until it no
longer is, and so would whoever is to claim the next core.

Source of the format: systemd.io/JOURNAL_NATIVE_PROTOCOL.
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
    """The journal did not take an entry."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the journal takes no entries: {reason}", "systemctl restart systemd-journald")


def send(fields: Mapping[str, str], patience: float) -> None:
    """Hands over one entry, waiting up to so many seconds. Raises Unheard."""
    entry = b"".join(_field(name, value.encode(errors="replace")) for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(str(SOCKET))  # only of its peer can one wait to have room
            _hand_over(connection, entry)
        except OSError as error:
            raise JournalUnavailable(
                "it does not answer" if isinstance(error, TimeoutError | BlockingIOError) else str(error)
            ) from error


def _field(name: str, value: bytes) -> bytes:
    """With its length, since a value may have several lines."""
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _hand_over(connection: socket.socket, entry: bytes) -> None:
    try:
        connection.send(entry)
    except OSError as error:
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
            raise
        _hand_over_in_memory(connection, entry)


def _hand_over_in_memory(connection: socket.socket, entry: bytes) -> None:
    """What is too long for a datagram goes as a sealed file in memory."""
    descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        files.write_all(descriptor, entry)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        connection.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    finally:
        os.close(descriptor)
