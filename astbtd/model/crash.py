"""The data that all rooms share: what is known of one crash, as `crash.json` holds it.

Times are aware datetimes in UTC, sizes bytes, durations seconds; None is "unknown".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from astbtd.model.record_summary import (
    CRASH_ID,
    KEPT_CORE_FILE,
    RECORD_FILE,
    REPORT_FILE,
    SCHEMA,
    CoreState,
    CrashSignature,
    Section,
    Verdict,
)

__all__ = [
    "CRASH_ID",
    "KEPT_CORE_FILE",
    "RECORD_FILE",
    "REPORT_FILE",
    "SCHEMA",
    "CoreState",
    "CrashSignature",
    "Section",
    "Verdict",
]


class Source(StrEnum):
    """Who wrote the core."""

    FILE = "file"
    SYSTEMD_COREDUMP = "systemd-coredump"
    APPORT = "apport"
    ABRT = "abrt"
    LIVE = "live"


class DiscoveredBy(StrEnum):
    """What led astbtd to the core."""

    EVENT = "event"
    START = "start"
    SCAN = "scan"
    COMMAND = "command"


class CoreAction(StrEnum):
    """What becomes of a core once its crash is recorded."""

    MOVE = "move"
    LEAVE = "leave"
    DELETE = "delete"


class IdentityFrom(StrEnum):
    """What a core's identity was computed from."""

    AT_RANDOM = "at_random"
    FILE = "file"


class ExtractionOutcome(StrEnum):
    """How an extraction ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    KILLED = "killed"
    TOO_MUCH_OUTPUT = "too_much_output"
    FAILED = "failed"


class Symbols(StrEnum):
    """Which shared objects had their symbols loaded."""

    LAZY = "lazy"
    ALL = "all"


class MemoryCorruption(StrEnum):
    """Whether the crash thread points to corrupted memory."""

    NONE = "none"
    LIKELY = "likely"
    CERTAIN = "certain"


@dataclass(frozen=True)
class Core:
    """The core file of a crash. `identity` is hexadecimal; `path` is where the core was found.

    `removed_at` is since when there is no core any more, None while it is not known to be removed. Two cores of the
    same `site` died in the same way.
    """

    identity: str
    identity_from: IdentityFrom
    path: str
    size: int
    state: CoreState
    truncated: bool
    source: Source
    found: DiscoveredBy
    removed_at: datetime | None = None
    site: str | None = None


@dataclass(frozen=True)
class Process:
    """The process that died, as the core's notes describe it; `cwd` is for those to tell who saw it die.

    `container`: it ran in one, so that its paths are not this machine's; None where nothing says so.
    """

    pid: int | None = None
    tid: int | None = None
    uid: int | None = None
    gid: int | None = None
    executable: str | None = None
    build_id: str | None = None
    command_line: str | None = None
    cwd: str | None = None
    container: bool | None = None


@dataclass(frozen=True)
class LostCore:
    """Why there is no core of a crash, and what helps to have the next one."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Asterisk:
    """The Asterisk that died. `build_options` are the names that `core show settings` lists."""

    version: str | None = None
    build_options: tuple[str, ...] | None = None
    dont_optimize: bool | None = None
    debug_threads: bool | None = None
    better_backtraces: bool | None = None


@dataclass(frozen=True)
class Signal:
    """The signal that ended the process; `code` is si_code, `address` si_addr as hexadecimal text."""

    number: int
    name: str
    code: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class Extraction:
    """How gdb fared. `sections` maps a section's file name to its size; `notes` say what was cut or done without;
    `brief` says that no more was wanted than to tell one crash of a loop from another crash.
    """

    gdb_version: str | None
    seconds: float
    ended: ExtractionOutcome
    sections: Mapping[str, int]
    symbols: Symbols
    notes: tuple[str, ...] = ()
    brief: bool = False


@dataclass(frozen=True)
class Signature:
    """What two crashes of the same bug have in common; `id` is 12 hexadecimal digits of `text`."""

    id: str
    text: str


@dataclass(frozen=True)
class DecidedSignature(Signature):
    """A signature and the rule that decided it, by its name in diagnosis/words/signature.toml."""

    rule: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What a backtrace's text tells; the fields are those of `astbtd diagnose --json`."""

    signal: str | None
    crash_thread: int | None
    top_frame: str | None
    crash_function: str | None
    threads: int
    frames: int
    optimized: bool
    missing_symbols: bool
    memory_corruption: MemoryCorruption | None
    debug_threads: bool
    deadlock: bool | None
    quality: float
    verdict: Verdict
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    signature: DecidedSignature


@dataclass(frozen=True)
class Crash:
    """One recorded crash: the whole of `crash.json`. `texts_removed_at` is since when only the record is left.

    `aging_since` is from when its age counts, where the clock was wrong when it was collected.
    """

    id: str
    host: str
    boot_id: str | None
    crashed_at: datetime
    collected_at: datetime
    core: Core
    process: Process
    asterisk: Asterisk
    signal: Signal | None
    extraction: Extraction
    diagnosis: Diagnosis
    signature: CrashSignature
    pinned: bool = False
    announced_at: datetime | None = None
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
    schema: int = SCHEMA

    @property
    def what(self) -> str:
        """What happened in a few words, such as `SIGSEGV in ast_bridge_join`; not made safe to show."""
        signal = self.signal.name if self.signal else "an unknown signal"
        return f"{signal} in {self.diagnosis.crash_function or 'an unknown function'}"


@dataclass(frozen=True)
class CoreFacts:
    """What a core file says by itself; `objects` are the files the process had mapped, the executable included."""

    identity: str
    identity_from: IdentityFrom
    crashed_at: datetime
    size: int
    truncated: bool
    process: Process
    signal: Signal | None
    objects: tuple[str, ...]
    site: str | None = None

    @property
    def crash_id(self) -> str:
        """The id that this core's crash has in the store."""
        return f"{self.crashed_at:%Y%m%dT%H%M%SZ}-{self.process.pid or 0}-{self.identity[:6]}"
