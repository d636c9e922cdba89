"""The interface of a collector: everything that astbtd has to know about a program that collects cores.

astbtd only reads a collector's directories; it never changes anything there.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from astbtd.lib.quantities import format_utc
from astbtd.model.crash import CoreFacts

MAX_VALUE_LENGTH = 1 << 16
_NUMBER = re.compile(rb"\d{1,20}")
_MICROSECONDS = 1_000_000
_CLOCK_TOLERANCE = 60.0  # seconds by which clocks and rounding may differ


class InconsistentMetadata(ValueError):
    """The metadata of a collector is invalid or contradicts the core."""


@dataclass(frozen=True)
class CollectorMetadata:
    """What a collector recorded about a crash. None means unknown.

    `pid` is the process id in the initial PID namespace. `contained` is True if the process ran in a container.
    """

    crashed_at: datetime | None = None
    pid: int | None = None
    signal: int | None = None
    command_line: str | None = None
    cwd: str | None = None
    contained: bool | None = None


class Collector(ABC):
    """One program that collects cores.

    Class attributes that each collector sets:
        name         the value of `core.source` in a crash record; with underscores, the key of the settings
        helpers      base names of the programs that core_pattern pipes cores to
        sockets      path prefix of the sockets that core_pattern sends cores to; None if there are none
        directories  the default directories of its cores
    """

    name: ClassVar[str]
    helpers: ClassVar[frozenset[str]]
    sockets: ClassVar[str | None] = None
    directories: ClassVar[tuple[str, ...]]

    @property
    def settings_key(self) -> str:
        """The key below `collectors` in the configuration."""
        return self.name.replace("-", "_")

    @abstractmethod
    def core_files(self, directory: str, entry: str) -> list[str]:
        """Return the complete cores that a directory entry stands for, relative to `directory`.

        Return an empty list if the entry is not one of this collector's.
        """

    @abstractmethod
    def read_metadata(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:
        """Return the metadata stored with the core open at `descriptor`. Raise InconsistentMetadata."""

    def journal_match(self, name: str) -> Mapping[str, str] | None:  # noqa: ARG002 - for collectors that override it
        """Return the journal fields that select the entry of the core file `name`; None if nothing is logged."""
        return None

    def parse_journal_entry(self, entry: Mapping[str, object], name: str) -> CollectorMetadata | None:  # noqa: ARG002
        """Return the metadata in a journal entry; None if the entry is not this collector's or of another core.

        Any user can log an entry with the fields of `journal_match`: check a field that journald itself adds.
        """
        return None


def merge_metadata(facts: CoreFacts, metadata: CollectorMetadata, written: float) -> CoreFacts:
    """Return the facts read from a core, completed by a collector's metadata.

    `written` is the modification time of the core file, in seconds since 1970. Raise InconsistentMetadata if the
    metadata contradicts the core. The core contains the process id in the innermost PID namespace: if it differs from
    the one in the metadata, the process ran in a container.
    """
    _check_signal(facts, metadata)
    _check_time(metadata, written)
    process_ids = {metadata.pid, facts.process.pid} - {None}
    contained = metadata.contained or len(process_ids) > 1
    process = replace(
        facts.process,
        command_line=metadata.command_line or facts.process.command_line,
        cwd=metadata.cwd or facts.process.cwd,
        container=True if contained else facts.process.container,
    )
    return replace(facts, process=process, crashed_at=_earliest(metadata.crashed_at, facts.crashed_at))


def _earliest(stored: datetime | None, written: datetime) -> datetime:
    """Return the crash time: the collector's, unless the core was written before, according to its file."""
    return written if stored is None else min(stored, written)


def _check_signal(facts: CoreFacts, metadata: CollectorMetadata) -> None:
    if metadata.signal is None or not facts.signal:
        return
    if metadata.signal != facts.signal.number:
        raise InconsistentMetadata(
            f"its metadata names signal {metadata.signal}, but the core has signal {facts.signal.number}"
        )


def _check_time(metadata: CollectorMetadata, written: float) -> None:
    if metadata.crashed_at is None:
        return
    if metadata.crashed_at.timestamp() > written + _CLOCK_TOLERANCE:
        raise InconsistentMetadata(
            f"its metadata dates the crash {format_utc(metadata.crashed_at)}, but the core is older"
        )


def parse_number(value: bytes | None, what: str) -> int | None:
    """Return a decimal number that a collector wrote. Raise InconsistentMetadata if it is invalid."""
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise InconsistentMetadata(f"{what} is not a number")
    return int(value)


def parse_text(value: bytes | None, what: str) -> str | None:
    """Return one line of text that a collector wrote. Raise InconsistentMetadata if it is invalid or too long."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise InconsistentMetadata(f"{what} is not a line of text") from error
    if len(value) > MAX_VALUE_LENGTH or not text.isprintable():
        raise InconsistentMetadata(f"{what} is not a line of text")
    return text or None


def parse_timestamp(seconds: float, what: str) -> datetime:
    """Return a time given in seconds since 1970. Raise InconsistentMetadata if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InconsistentMetadata(f"{what} is not a valid time") from error


def parse_microseconds(value: int | None, what: str) -> datetime | None:
    """Return a time given in microseconds since 1970. Raise InconsistentMetadata if it is out of range."""
    if value is None:
        return None
    return parse_timestamp(value / _MICROSECONDS, what)
