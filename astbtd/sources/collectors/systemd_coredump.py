"""systemd-coredump: keeps one file per core; the metadata is in its name, its extended attributes and the journal.

Sources: systemd's src/coredump/coredump-submit.c (names, attributes, journal fields) and units/ (which units log them).
"""

import errno
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass

from astbtd.sources.collectors.collector import (
    MAX_VALUE_LENGTH,
    Collector,
    CollectorMetadata,
    InconsistentMetadata,
    parse_microseconds,
    parse_number,
)

MESSAGE_ID = "fc2e22bc6ee647b6b90729ab34a250b1"
"""The MESSAGE_ID of the journal entry for a core."""

_NAME = re.compile(
    r"core\.(?P<comm>[^./]{1,64})\.(?P<uid>\d{1,10})\.[0-9a-f]{32}\.(?P<pid>\d{1,10})\.(?P<timestamp>\d{1,20})"
    r"(?:\.(?:zst|xz|lz4))?"
)
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_UNIT = re.compile(r"systemd-coredump@[^/]*\.service|systemd-coredumpd\.service")
_USER = "systemd-coredump"
_IN_NAME_AND_ATTRIBUTES = ("comm", "uid", "pid", "timestamp")


@dataclass(frozen=True)
class SystemdCoredump(Collector):
    """systemd-coredump as a `Collector`."""

    name = "systemd-coredump"
    helpers = frozenset(("systemd-coredump",))
    sockets = "/run/systemd/coredump"
    directories = ("/var/lib/systemd/coredump",)

    def core_files(self, directory: str, entry: str) -> list[str]:  # noqa: ARG002 - the name is enough
        """Return the entry itself if it is a core. The name of an incomplete core begins with a dot."""
        return [entry] if _NAME.fullmatch(entry) else []

    def read_metadata(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002
        """Return the metadata in the attributes. They must match the name, which the same program wrote."""
        for field, value in _parse_name(name).items():
            if _read_attribute(descriptor, field) not in (None, value):
                raise InconsistentMetadata(f"its attribute user.coredump.{field} contradicts its name")
        numbers: dict[str, int | None] = {}
        for field in ("pid", "signal", "timestamp"):
            value_read = _read_attribute(descriptor, field)
            numbers[field] = parse_number(value_read, f"its attribute user.coredump.{field}")
        return CollectorMetadata(
            crashed_at=parse_microseconds(numbers["timestamp"], "its attribute user.coredump.timestamp"),
            pid=numbers["pid"],
            signal=numbers["signal"],
        )

    def journal_match(self, name: str) -> Mapping[str, str] | None:
        """Return the fields of the entry that systemd-coredump logs for this core."""
        fields = _parse_name(name)
        if not fields:
            return None
        return {
            "MESSAGE_ID": MESSAGE_ID,
            "COREDUMP_PID": os.fsdecode(fields["pid"]),
            "COREDUMP_TIMESTAMP": os.fsdecode(fields["timestamp"]),
        }

    def parse_journal_entry(self, entry: Mapping[str, object], name: str) -> CollectorMetadata | None:
        """Return the metadata in a journal entry of this core; None if systemd-coredump did not log it.

        Any user can log an entry that looks the same. `_SYSTEMD_UNIT`, which journald adds, proves the origin. It is
        missing if systemd-coredump had ended when journald read the entry; `_UID`, from the kernel, never is.
        Only the last component of COREDUMP_FILENAME is compared.
        """
        fields = {key: value for key, value in entry.items() if isinstance(value, str)}
        unit = fields.get("_SYSTEMD_UNIT")
        if not (_is_user_of_collector(entry.get("_UID")) if unit is None else _UNIT.fullmatch(unit)):
            return None
        if os.path.basename(fields.get("COREDUMP_FILENAME", "")) != name:
            return None
        return CollectorMetadata(
            command_line=_valid_line(fields.get("COREDUMP_CMDLINE")),
            cwd=_valid_line(fields.get("COREDUMP_CWD")),
            contained=True if "COREDUMP_CONTAINER_CMDLINE" in fields else None,
        )


def _is_user_of_collector(uid: object) -> bool:
    """Return whether this is root, or the user to which systemd-coredump changes for a core of a system user."""
    try:
        return uid == 0 or uid == pwd.getpwnam(_USER).pw_uid
    except KeyError:
        return False


def unescape(text: str) -> bytes:
    r"""Decode the `\x2e` escapes in a part of a file name."""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), os.fsencode(text))


def _parse_name(name: str) -> dict[str, bytes]:
    """Return the metadata in a file name; empty if it is not the name of a core."""
    match = _NAME.fullmatch(name)
    if match is None:
        return {}
    return {field: unescape(match[field]) for field in _IN_NAME_AND_ATTRIBUTES}


def _read_attribute(descriptor: int, field: str) -> bytes | None:
    """Return an extended attribute; None if it is not set or the file system does not support them."""
    try:
        return os.getxattr(descriptor, f"user.coredump.{field}")[:MAX_VALUE_LENGTH]
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise


def _valid_line(value: str | None) -> str | None:
    """Return the value of a journal field; None if it is empty, too long or not printable."""
    if not value or len(value) > MAX_VALUE_LENGTH or not value.isprintable():
        return None
    return value


COLLECTOR = SystemdCoredump()
