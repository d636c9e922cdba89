"""Talks to journald and to the service manager; the only module that imports systemd's bindings."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from systemd import journal

from astbtd.announce import journald_socket
from astbtd.announce.journald_socket import JournalUnavailable

__all__ = ["JournalUnavailable", "entries", "notify", "runtime_directory", "send", "watchdog_interval"]

IDENTIFIER = "astbtd"

_PATIENCE = 1.0  # seconds for a journal or a service manager that is busy
_WAIT = 0.25  # seconds between two looks at whether to go on waiting


class _Patience:
    """How long to wait for the journal: once it was stuck, no more until it is not."""

    seconds = _PATIENCE


def send(message: str, priority: int, fields: dict[str, str]) -> None:
    """One journal entry; on a machine without journald, one line on standard error. Raises Unheard."""
    if not journald_socket.SOCKET.exists() and "JOURNAL_STREAM" not in os.environ:
        sys.stderr.write(f"{IDENTIFIER}: {message}\n")
        return
    own = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": IDENTIFIER}
    try:
        journald_socket.send({**own, **fields}, _Patience.seconds)
    except JournalUnavailable:
        _Patience.seconds = 0.0
        raise
    _Patience.seconds = _PATIENCE


def entries(fields: Mapping[str, str], goes_on: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
    """The journal's entries with these fields, as they come; after the last one more is waited for while `goes_on`.

    Who wrote an entry is for the caller to judge: any user may write any of them.
    """
    if not journald_socket.SOCKET.exists():
        return
    with journal.Reader() as reader:
        for name, value in fields.items():
            reader.add_match(**{name: value})
        yield from reader
        while goes_on():
            reader.wait(_WAIT)
            yield from reader


def notify(state: str, patience: float = _PATIENCE) -> bool:
    """Tells the service manager a state as sd_notify(3) does; False if it did not take it within so many seconds.

    libsystemd would wait for one that is stuck, and all threads of ours with it. Without a manager, does nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            connection.send(state.encode(errors="replace"))
        except OSError:
            return False
    return True


def runtime_directory() -> Path | None:
    """The unit's own directory below /run; None outside of a unit."""
    named = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(named) if named else None


def watchdog_interval() -> float | None:
    """The seconds within which the service manager wants a sign of life, None if it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) else None
