"""The cores that systemd-coredump keeps: one file for each, its story in the name, in attributes and in the journal.

Sources: systemd's src/coredump/coredump-submit.c (names, attributes, journal fields) and units/ (who logs them).
"""

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from astbtd.model.crash import Source
from astbtd.sources.collectors.collector import (
    LONGEST_VALUE,
    CollectorMetadata,
    InconsistentMetadata,
    from_microseconds,
    number,
)
from astbtd.sources.core_pattern import CorePattern

MESSAGE_ID = "fc2e22bc6ee647b6b90729ab34a250b1"
"""Of the journal's entry for a core."""

_NAME = re.compile(
    r"core\.(?P<comm>[^./]{1,64})\.(?P<uid>\d{1,10})\.[0-9a-f]{32}\.(?P<pid>\d{1,10})\.(?P<timestamp>\d{1,20})"
    r"(?:\.(?:zst|xz|lz4))?"
)
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_UNIT = re.compile(r"systemd-coredump@[^/]*\.service|systemd-coredumpd\.service")
_SOCKET_DIRECTORY = "/run/systemd/coredump"
_TOLD_TWICE = ("comm", "uid", "pid", "timestamp")


@dataclass(frozen=True)
class SystemdCoredump:
    """systemd-coredump as a `Collector`."""

    source: Source = Source.SYSTEMD_COREDUMP

    def is_fed_by(self, pattern: CorePattern) -> bool:
        """By the program it is called through, or the socket its daemon listens on."""
        return pattern.helper == "systemd-coredump" or (pattern.socket or "").startswith(_SOCKET_DIRECTORY)

    def cores(self, directory: str, entry: str) -> list[str]:  # noqa: ARG002 - a file is a core
        """The entry itself; what is still being written has a name that begins with a dot."""
        return [entry] if _NAME.fullmatch(entry) else []

    def testimony(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002 - all is in the file
        """From the attributes, which must agree with the name: the same program wrote both."""
        for what, value in _told_by_name(name).items():
            if _attribute(descriptor, what) not in (None, value):
                raise InconsistentMetadata(f"its attribute user.coredump.{what} contradicts its name")
        told = {what: _attribute(descriptor, what) for what in ("pid", "signal", "timestamp")}
        numbers = {what: number(value, f"its attribute user.coredump.{what}") for what, value in told.items()}
        return CollectorMetadata(
            crashed_at=from_microseconds(numbers["timestamp"], "its attribute user.coredump.timestamp"),
            pid=numbers["pid"],
            signal=numbers["signal"],
        )


def unescaped(name: str) -> bytes:
    r"""A part of a file's name with its `\x2e` turned back into what they stand for."""
    return _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), os.fsencode(name))


def entry_of(name: str) -> dict[str, str]:
    """The journal fields by which to find the entry of the core with this file name."""
    told = _told_by_name(name)
    return {
        "MESSAGE_ID": MESSAGE_ID,
        "COREDUMP_PID": os.fsdecode(told["pid"]),
        "COREDUMP_TIMESTAMP": os.fsdecode(told["timestamp"]),
    }


def told_by_journal(entry: Mapping[str, object], name: str) -> CollectorMetadata | None:
    """What a journal entry tells of the core with this file name; None if it does not come from systemd-coredump.

    Any user can log entries that look like one: only the field that journald itself adds says who did. Of the path
    only the last part counts.
    """
    fields = {key: value for key, value in entry.items() if isinstance(value, str)}
    if not _UNIT.fullmatch(fields.get("_SYSTEMD_UNIT", "")):
        return None
    if os.path.basename(fields.get("COREDUMP_FILENAME", "")) != name:
        return None
    return CollectorMetadata(
        command_line=_line(fields.get("COREDUMP_CMDLINE")),
        cwd=_line(fields.get("COREDUMP_CWD")),
        contained="COREDUMP_CONTAINER_CMDLINE" in fields or None,
    )


def _told_by_name(name: str) -> dict[str, bytes]:
    match = _NAME.fullmatch(name)
    return {what: unescaped(match[what]) for what in _TOLD_TWICE} if match else {}


def _attribute(descriptor: int, what: str) -> bytes | None:
    try:
        return os.getxattr(descriptor, f"user.coredump.{what}")[:LONGEST_VALUE]
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise


def _line(value: str | None) -> str | None:
    return value if value and value.isprintable() and len(value) <= LONGEST_VALUE else None
