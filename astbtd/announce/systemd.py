"""The connection to journald and to the service manager. No other module imports the systemd bindings."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from systemd import journal

from astbtd.announce import journald_socket
from astbtd.announce.journald_socket import JournalUnavailable

__all__ = [
    "JournalUnavailable",
    "can_read_system_journal",
    "entries",
    "entries_before",
    "entries_since",
    "notify",
    "runtime_directory",
    "send",
    "watchdog_interval",
]

IDENTIFIER = "astbtd"
LOG_TARGET = "ASTBTD_LOG_TARGET"  # environment variable: `stderr`, or unset for the journal

_MACHINE_ID = Path("/etc/machine-id")
_JOURNAL_DIRECTORIES = ("/var/log/journal", "/run/log/journal")
_TIMEOUT = 1.0  # seconds to wait for a busy journald or service manager
_POLL_INTERVAL = 0.25  # seconds between two calls of `keep_waiting`


class _JournalTimeout:
    """The current timeout of `send`: zero after a failure, until an entry is accepted again."""

    seconds = _TIMEOUT


def send(message: str, priority: int, fields: dict[str, str]) -> None:
    """Write one journal entry; without journald, one line to standard error. Raise JournalUnavailable."""
    if _writes_to_stderr():
        sys.stderr.write(f"{IDENTIFIER}: {message}\n")
        return
    common = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": IDENTIFIER}
    try:
        journald_socket.send({**common, **fields}, _JournalTimeout.seconds)
    except JournalUnavailable:
        _JournalTimeout.seconds = 0.0
        raise
    _JournalTimeout.seconds = _TIMEOUT


def _writes_to_stderr() -> bool:
    """Return whether messages go to standard error instead of the journal.

    They do on a machine without journald, and if `ASTBTD_LOG_TARGET=stderr` is set, as the tests do.
    """
    if os.environ.get(LOG_TARGET) == "stderr":
        return True
    return not journald_socket.SOCKET.exists() and "JOURNAL_STREAM" not in os.environ


def entries(fields: Mapping[str, str], keep_waiting: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
    """Yield the journal entries with these fields, oldest first; then new ones while `keep_waiting` returns True.

    Any user can write such an entry. The caller has to check who wrote it.
    """
    if not journald_socket.SOCKET.exists():
        return
    with journal.Reader() as reader:
        for name, value in fields.items():
            reader.add_match(**{name: value})
        yield from reader
        while keep_waiting():
            reader.wait(_POLL_INTERVAL)
            yield from reader


def entries_since(queries: Sequence[Mapping[str, str]], since: float) -> Iterator[Mapping[str, object]]:
    """Yield the journal entries that match one of the queries, from `since` on (seconds since 1970), oldest first."""
    if not journald_socket.SOCKET.exists():
        return
    with journal.Reader() as reader:
        for fields in queries:
            for name, value in fields.items():
                reader.add_match(**{name: value})
            reader.add_disjunction()
        reader.seek_realtime(since)
        yield from reader


def entries_before(queries: Sequence[Mapping[str, str]], until: float, count: int) -> Sequence[Mapping[str, object]]:
    """Return the last `count` journal entries before `until` that match one of the queries, oldest first."""
    found: list[Mapping[str, object]] = []
    if not journald_socket.SOCKET.exists():
        return found
    with journal.Reader() as reader:
        for fields in queries:
            for name, value in fields.items():
                reader.add_match(**{name: value})
            reader.add_disjunction()
        reader.seek_realtime(until)
        while len(found) < count and (entry := reader.get_previous()):
            found.append(entry)
    return found[::-1]


def can_read_system_journal() -> bool:
    """Return whether we may read the entries of other users and of the service manager."""
    machine = _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else ""
    files = (Path(directory, machine, "system.journal") for directory in _JOURNAL_DIRECTORIES)
    return any(os.access(file, os.R_OK) for file in files)


def notify(state: str, timeout: float = _TIMEOUT) -> bool:
    """Send a state to the service manager, as sd_notify(3) does. Return False if it is not accepted in time.

    `timeout` is in seconds: libsystemd would block all threads while the manager is stuck. Without a service manager,
    do nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return True
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(address)
            connection.send(state.encode(errors="replace"))
        except OSError:
            return False
    return True


def runtime_directory() -> Path | None:
    """Return the unit's directory below /run; None if not started as a unit."""
    name = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(name) if name else None


def watchdog_interval() -> float | None:
    """Return the watchdog interval of the service manager in seconds; None if the watchdog is off."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1e6
