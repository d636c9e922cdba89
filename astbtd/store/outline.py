"""The part of a record that lists, counts and retention ask for: reading no more makes thousands of records quick."""

from dataclasses import dataclass
from datetime import datetime

from astbtd.model.record_summary import CoreState, CrashSignature, Verdict


@dataclass(frozen=True)
class CoreSummary:
    """Of `core`."""

    state: CoreState


@dataclass(frozen=True)
class ProcessSummary:
    """Of `process`."""

    pid: int | None = None


@dataclass(frozen=True)
class AsteriskSummary:
    """Of `asterisk`."""

    version: str | None = None


@dataclass(frozen=True)
class SignalSummary:
    """Of `signal`."""

    name: str


@dataclass(frozen=True)
class DiagnosisSummary:
    """Of `diagnosis`."""

    crash_function: str | None
    verdict: Verdict


@dataclass(frozen=True)
class RecordSummary:
    """What `crash.json` says of a crash, in short; the names are those of model.Crash."""

    id: str
    crashed_at: datetime
    collected_at: datetime
    core: CoreSummary
    process: ProcessSummary
    asterisk: AsteriskSummary
    signal: SignalSummary | None
    diagnosis: DiagnosisSummary
    signature: CrashSignature
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None


@dataclass(frozen=True)
class SignatureSummary:
    """Of `signature`."""

    id: str


@dataclass(frozen=True)
class RetentionFields:
    """What of it decides how long a crash is kept."""

    crashed_at: datetime
    collected_at: datetime
    core: CoreSummary
    signature: SignatureSummary
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
