"""The records of crashes and captures: their JSON document, and the parts of it that are read alone.

RecordSummary and RetentionFields are parts of a crash's record: decoding only these keeps lists of thousands quick.
Their fields are those of model.crash.Crash.
"""

import os
from dataclasses import dataclass
from datetime import datetime

from astbtd.errors import AstbtdError
from astbtd.lib.serialization import to_plain
from astbtd.model.record_summary import CoreState, CrashSignature, Verdict
from astbtd.store.record_limits import to_bounded_json


class DamagedRecord(AstbtdError):
    """The record of a crash is missing or invalid. `crashed_at` is taken from the id of the crash."""

    def __init__(self, crash_id: str, reason: str) -> None:
        super().__init__(f"the record of {crash_id} is damaged: {reason}")
        self.crashed_at = crash_time(crash_id)


class RemovedCrash(DamagedRecord):
    """The crash does not exist, or was removed after its id was read, for example by retention."""

    def __init__(self, crash_id: str) -> None:
        super().__init__(crash_id, "the crash was removed")
        self.message = f"crash {crash_id} was removed"


def crash_second(crash_id: str) -> str:
    """Return the crash time at the start of an id, as text: `20261122T205000Z`."""
    return crash_id.partition("-")[0]


def crash_time(crash_id: str) -> datetime:
    """Return the crash time in an id. Raise ValueError if it is none."""
    return datetime.strptime(crash_second(crash_id), "%Y%m%dT%H%M%S%z")


def crash_pid(crash_id: str) -> int | None:
    """Return the pid in an id; None if it was unknown, which is 0 in the id."""
    return int(crash_id.split("-")[1]) or None


def to_json(record: object) -> bytes:
    """Return the content of a record's file, never more than its reader accepts."""
    document = to_plain(record)
    assert isinstance(document, dict)
    return to_bounded_json(document)


@dataclass(frozen=True)
class CoreSummary:
    """Part of `core`."""

    state: CoreState


@dataclass(frozen=True)
class ProcessSummary:
    """Part of `process`."""

    pid: int | None = None


@dataclass(frozen=True)
class AsteriskSummary:
    """Part of `asterisk`."""

    version: str | None = None


@dataclass(frozen=True)
class SignalSummary:
    """Part of `signal`."""

    name: str


@dataclass(frozen=True)
class DiagnosisSummary:
    """Part of `diagnosis`."""

    crash_function: str | None
    verdict: Verdict


@dataclass(frozen=True)
class RecordSummary:
    """The part of `crash.json` that `list` and `top` show."""

    id: str
    crashed_at: datetime
    collected_at: datetime
    core: CoreSummary
    process: ProcessSummary
    asterisk: AsteriskSummary
    signal: SignalSummary | None
    diagnosis: DiagnosisSummary
    signature: CrashSignature | None
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
    foreign: bool | None = None


@dataclass(frozen=True)
class ProgramSummary:
    """Part of `process`: the program and its user."""

    uid: int | None = None
    executable: str | None = None
    build_id: str | None = None


@dataclass(frozen=True)
class SiteFrameSummary:
    """Part of `site.frames`."""

    object: str | None
    offset: str


@dataclass(frozen=True)
class SiteWithFrames:
    """The site."""

    id: str
    frames: tuple[SiteFrameSummary, ...] = ()


@dataclass(frozen=True)
class SiteFields:
    """The part of `crash.json` that `top --sites` shows."""

    id: str
    crashed_at: datetime
    core: CoreSummary
    asterisk: AsteriskSummary
    process: ProgramSummary
    signature: CrashSignature | None
    site: SiteWithFrames | None = None
    foreign: bool | None = None

    @property
    def place(self) -> str | None:
        """The frame that decides the site, as `OBJECT+OFFSET`; None if the site is not known."""
        located = [frame for frame in self.site.frames if frame.object] if self.site else []
        return f"{os.path.basename(located[-1].object or '')}+{located[-1].offset}" if located else None


@dataclass(frozen=True)
class SignatureSummary:
    """Part of `signature`."""

    id: str


@dataclass(frozen=True)
class SiteSummary:
    """Part of `site`."""

    id: str


@dataclass(frozen=True)
class RetentionFields:
    """The part of `crash.json` that decides how long a crash is kept."""

    crashed_at: datetime
    collected_at: datetime
    core: CoreSummary
    signature: SignatureSummary | None
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
    process: ProgramSummary = ProgramSummary()
    site: SiteSummary | None = None
    foreign: bool | None = None


@dataclass(frozen=True)
class ObjectSummary:
    """Part of `objects`."""

    build_id: str | None


@dataclass(frozen=True)
class ObjectFields:
    """The part of `crash.json` that decides which kept objects are needed."""

    pinned: bool = False
    objects: tuple[ObjectSummary, ...] | None = None
