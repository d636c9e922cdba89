"""What astbtd asks of another program's collection of cores, in which it reads and never changes anything."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from astbtd.model.crash import CoreFacts, Source
from astbtd.sources.core_pattern import CorePattern

LONGEST_VALUE = 1 << 16
_NUMBER = re.compile(rb"\d{1,20}")
_MICROSECONDS = 1_000_000
_SLACK = 60.0  # seconds by which clocks and roundings may differ


class InconsistentMetadata(ValueError):
    """What a collector tells cannot be so."""


@dataclass(frozen=True)
class CollectorMetadata:
    """What a collector tells of a crash; None is unknown.

    `pid` is the process's in the machine's own name space; `contained` says that it ran in a container.
    """

    crashed_at: datetime | None = None
    pid: int | None = None
    signal: int | None = None
    command_line: str | None = None
    cwd: str | None = None
    contained: bool | None = None


class Collector(Protocol):
    """One collector's way of keeping cores."""

    @property
    def source(self) -> Source:
        """What a record says of a core from there."""

    def is_fed_by(self, pattern: CorePattern) -> bool:
        """Whether a core_pattern hands cores to this collector."""

    def cores(self, directory: str, entry: str) -> list[str]:
        """The names, below `directory`, of the complete cores that its new entry stands for; none if it is not its."""

    def testimony(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:
        """What is told of the core file open at `descriptor`. Raises Implausible."""


def attested(facts: CoreFacts, told: CollectorMetadata, written: float) -> CoreFacts:
    """What a core says, completed by what is told of it; `written` is when its file was, in seconds since 1970.

    Raises Implausible where one contradicts the other. A core knows its process by the number that it had in its own
    name space: another number in the machine's means that it ran in a container.
    """
    if told.signal is not None and facts.signal and told.signal != facts.signal.number:
        raise InconsistentMetadata(f"it is said to be of signal {told.signal}, and is of signal {facts.signal.number}")
    if told.crashed_at and told.crashed_at.timestamp() > written + _SLACK:
        raise InconsistentMetadata(
            f"it is said to be of a crash at {told.crashed_at:%Y-%m-%d %H:%M:%S} UTC, and is older"
        )
    pids = {told.pid, facts.process.pid} - {None}
    process = replace(
        facts.process,
        command_line=told.command_line or facts.process.command_line,
        cwd=told.cwd or facts.process.cwd,
        container=True if told.contained or len(pids) > 1 else facts.process.container,
    )
    return replace(facts, process=process, crashed_at=told.crashed_at or facts.crashed_at)


def number(value: bytes | None, what: str) -> int | None:
    """A decimal number that a collector wrote. Raises Implausible for anything else."""
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise InconsistentMetadata(f"{what} is no number")
    return int(value)


def text(value: bytes | None, what: str) -> str | None:
    """A line of text that a collector wrote. Raises Implausible for what is none."""
    if value is None:
        return None
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        decoded = "\0"
    if len(value) > LONGEST_VALUE or not decoded.isprintable():
        raise InconsistentMetadata(f"{what} is no line of text")
    return decoded or None


def moment(seconds: float, what: str) -> datetime:
    """A time in seconds since 1970. Raises Implausible where there is no such time."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InconsistentMetadata(f"{what} is no time") from error


def from_microseconds(value: int | None, what: str) -> datetime | None:
    """A time in microseconds since 1970. Raises Implausible where there is no such time."""
    return None if value is None else moment(value / _MICROSECONDS, what)
