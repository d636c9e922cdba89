"""Talks to journald and to the service manager; the only module that imports systemd's bindings."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from systemd import daemon, journal

IDENTIFIER = "astbtd"

_SOCKET = Path("/run/systemd/journal/socket")
_WAIT = 0.25  # seconds between two looks at whether to go on waiting


def send(message: str, priority: int, fields: dict[str, str]) -> None:
    """One journal entry; where no journald runs, one line on standard error."""
    if _SOCKET.exists():
        journal.send(message, PRIORITY=priority, SYSLOG_IDENTIFIER=IDENTIFIER, **fields)
    else:
        sys.stderr.write(f"{IDENTIFIER}: {message}\n")


def entries(fields: Mapping[str, str], goes_on: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
    """The journal's entries with these fields, as they come; after the last one more is waited for while `goes_on`.

    Who wrote an entry is for the caller to judge: any user may write any of them.
    """
    if not _SOCKET.exists():
        return
    with journal.Reader() as reader:
        for name, value in fields.items():
            reader.add_match(**{name: value})
        yield from reader
        while goes_on():
            reader.wait(_WAIT)
            yield from reader


def notify(state: str) -> None:
    """Tells the service manager a state as sd_notify(3) does; without one, does nothing."""
    daemon.notify(state)


def runtime_directory() -> Path | None:
    """The unit's own directory below /run; None outside of a unit."""
    named = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(named) if named else None


def watchdog_interval() -> float | None:
    """The seconds within which the service manager wants a sign of life, None if it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) else None
