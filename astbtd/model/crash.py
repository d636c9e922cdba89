"""The record of one crash, as stored in `crash.json`, and the parts that are used elsewhere.

Times are aware datetimes in UTC, sizes are in bytes, durations in seconds. None means unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from astbtd.model.diagnosis import Diagnosis, Kind
from astbtd.model.record_summary import (
    CRASH_ID,
    KEPT_CORE_FILE,
    LOG_FILE,
    OBJECTS_SUFFIX,
    RECORD_FILE,
    REPORT_FILE,
    SCHEMA,
    CoreState,
    CrashSignature,
    ReplacedRecord,
    Section,
    Verdict,
)
from astbtd.model.surroundings import LackingSymbols, MappedFile, ObjectState, PbxState, ReplacedFile, Upgrade

__all__ = [
    "CRASH_ID",
    "KEPT_CORE_FILE",
    "LOG_FILE",
    "OBJECTS_SUFFIX",
    "RECORD_FILE",
    "REPORT_FILE",
    "SCHEMA",
    "CoreState",
    "CrashSignature",
    "LackingSymbols",
    "MappedFile",
    "ObjectState",
    "ReplacedFile",
    "ReplacedRecord",
    "Section",
    "Verdict",
]


class Source(StrEnum):
    """Who wrote the core, if it was not a collector. For a collector, the source is its name (`sources.collectors`)."""

    FILE = "file"
    LIVE = "live"


class DiscoveredBy(StrEnum):
    """How astbtd found the core."""

    EVENT = "event"
    START = "start"
    SCAN = "scan"
    COMMAND = "command"


class CoreAction(StrEnum):
    """What to do with a core after its crash is recorded."""

    MOVE = "move"
    LEAVE = "leave"
    DELETE = "delete"


class IdentityFrom(StrEnum):
    """What a core's identity was computed from."""

    AT_RANDOM = "at_random"
    FILE = "file"
    DEATH = "death"


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


@dataclass(frozen=True)
class SiteFrame:
    """A code address on the stack. `offset` is relative to the start of the object, as hexadecimal text."""

    build_id: str | None
    object: str | None
    offset: str


@dataclass(frozen=True)
class Site:
    """The exact place of a crash in one build: its innermost deciding frames. `id` is a hash of them."""

    id: str
    frames: tuple[SiteFrame, ...] = ()


@dataclass(frozen=True)
class SentBy:
    """The process that sent the signal."""

    pid: int
    uid: int


@dataclass(frozen=True)
class ExtractionRun:
    """One of several extractions of a core: when, why, and the result."""

    at: datetime
    why: str
    quality: float
    verdict: Verdict


@dataclass(frozen=True)
class Core:
    """The core file of a crash. `identity` is hexadecimal; `path` is where the core was found.

    `removed_at` is when the core was removed, None if it is not known to be removed. Equal values of `site` mean that
    the processes crashed with the same stack. `file` is the identity of the file that was found, by which the daemon
    recognizes it under another name, to remove it there; None if it stays where it is.
    """

    identity: str
    identity_from: IdentityFrom
    path: str
    size: int
    state: CoreState
    truncated: bool
    source: str
    found: DiscoveredBy
    removed_at: datetime | None = None
    site: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Process:
    """The process that crashed, as described by the notes of the core. Only a collector knows `cwd`.

    `container` is True if it ran in a container, so that its paths are not those of this machine.
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
    """Why the core of a crash is missing, and how to get the next one.

    `is_none`: no core is known to have been written. `frame` is then where the process crashed, if that was logged.
    """

    reason: str
    remedy: str
    is_none: bool = False
    frame: SiteFrame | None = None


@dataclass(frozen=True)
class Asterisk:
    """The Asterisk that crashed. `build_options` are the names that `core show settings` lists."""

    version: str | None = None
    build_options: tuple[str, ...] | None = None
    dont_optimize: bool | None = None
    debug_threads: bool | None = None
    better_backtraces: bool | None = None


@dataclass(frozen=True)
class Signal:
    """The signal that terminated the process. `code` is si_code, `address` is si_addr as hexadecimal text."""

    number: int
    name: str
    code: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class Extraction:
    """The result of running gdb. `sections` maps file names of sections to their sizes.

    `notes` say what was truncated or is missing. `brief`: only as much was extracted as is needed to recognize a crash
    of a crash loop. `postponed`: the same, but the core is kept, and is extracted in full when no core is queued.
    `awaits_gdb`: gdb could not start, so nothing was extracted; the core is kept, and is extracted when gdb works.
    """

    gdb_version: str | None
    seconds: float
    ended: ExtractionOutcome
    sections: Mapping[str, int]
    symbols: Symbols
    notes: tuple[str, ...] = ()
    brief: bool = False
    postponed: bool = False
    awaits_gdb: bool = False


@dataclass(frozen=True)
class Crash:
    """One recorded crash: the content of `crash.json`.

    `signature` is None if the crash is not grouped with others. `foreign`: not the PBX's own program or user.
    `objects` are the mapped files of which at least the state is known, at most a few hundred. `lacking_symbols` are
    those with frames without source lines, the program first; None if that was not determined.
    `texts_removed_at` is when the texts were removed, so that only the record is left. `aging_since` replaces
    `collected_at` as the start of its age if the clock was wrong when the crash was collected. `pbx` says whether
    Asterisk ran again when the report was written, `upgrade` which of its packages was upgraded last before the crash.
    `replaces` is the record of the same death without its core, None if there was none.
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
    signature: CrashSignature | None
    pinned: bool = False
    announced_at: datetime | None = None
    texts_removed_at: datetime | None = None
    aging_since: datetime | None = None
    site: Site | None = None
    foreign: bool | None = None
    kind: Kind | None = None
    sent_by: SentBy | None = None
    objects: tuple[MappedFile, ...] | None = None
    extraction_history: tuple[ExtractionRun, ...] = ()
    lacking_symbols: tuple[LackingSymbols, ...] | None = None
    pbx: PbxState | None = None
    upgrade: Upgrade | None = None
    replaces: ReplacedRecord | None = None
    schema: int = SCHEMA

    @property
    def what(self) -> str:
        """What happened in a few words, such as `SIGSEGV in ast_bridge_join`. Not escaped for a terminal."""
        signal = self.signal.name if self.signal else "an unknown signal"
        return f"{signal} in {self.diagnosis.crash_function or 'an unknown function'}"


@dataclass(frozen=True)
class CoreFacts:
    """What is read from a core file. `objects` are the files that the process had mapped, executable included.

    There are `omitted` more. `sent_by` is the other process that sent the signal, None if there is none.
    """

    identity: str
    identity_from: IdentityFrom
    crashed_at: datetime
    size: int
    truncated: bool
    process: Process
    signal: Signal | None
    objects: tuple[str, ...]
    site: str | None = None
    sent_by: SentBy | None = None
    omitted: int = 0

    @property
    def crash_id(self) -> str:
        """The id of this core's crash in the store."""
        return f"{self.crashed_at:%Y%m%dT%H%M%SZ}-{self.process.pid or 0}-{self.identity[:6]}"
