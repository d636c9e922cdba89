"""The part of a record that lists, counts and retention ask for: reading no more makes thousands of records quick."""

from dataclasses import dataclass
from datetime import datetime

from astbtd.basics import CoreState, CrashSignature, Verdict


@dataclass(frozen=True)
class CoreOutline:
    """Of `core`."""

    state: CoreState


@dataclass(frozen=True)
class ProcessOutline:
    """Of `process`."""

    pid: int | None = None


@dataclass(frozen=True)
class AsteriskOutline:
    """Of `asterisk`."""

    version: str | None = None


@dataclass(frozen=True)
class SignalOutline:
    """Of `signal`."""

    name: str


@dataclass(frozen=True)
class DiagnosisOutline:
    """Of `diagnosis`."""

    crash_function: str | None
    verdict: Verdict


@dataclass(frozen=True)
class Outline:
    """What `crash.json` says of a crash, in short; the names are those of model.Crash."""

    id: str
    crashed_at: datetime
    collected_at: datetime
    core: CoreOutline
    process: ProcessOutline
    asterisk: AsteriskOutline
    signal: SignalOutline | None
    diagnosis: DiagnosisOutline
    signature: CrashSignature
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None


@dataclass(frozen=True)
class SignatureOutline:
    """Of `signature`."""

    id: str


@dataclass(frozen=True)
class Upkeep:
    """What of it decides how long a crash is kept."""

    crashed_at: datetime
    collected_at: datetime
    core: CoreOutline
    signature: SignatureOutline
    pinned: bool = False
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
