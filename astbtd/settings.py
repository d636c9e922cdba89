"""The configuration file: typed settings with defaults. All errors of a file are reported at once."""

import os
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import cast

from astbtd.errors import BadConfiguration
from astbtd.lib.local_settings import ParsedYaml, local_files, parse_yaml, read_merged
from astbtd.lib.notify_settings import NotifySettings, take_secrets_out
from astbtd.lib.serialization import Decoder
from astbtd.lib.setting_formats import (
    Address,
    AddressSpace,
    AtLeastOne,
    Bytes,
    Command,
    Count,
    Crashes,
    Frames,
    LogLines,
    Name,
    OptionalPath,
    OutputBytes,
    PathText,
    Program,
    Seconds,
    Share,
    User,
)
from astbtd.model.crash import CoreAction, Symbols
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.registry import COLLECTORS

DEFAULT_FILE = Path("/etc/astbtd.yaml")


@dataclass(frozen=True)
class AsteriskSettings:
    """How to recognise Asterisk, and where its configuration and its control socket are.

    `users` are users of the PBX in addition to those that are found; see `asterisk.pbx_users`.
    """

    executables: tuple[Name, ...] = ("asterisk",)
    users: tuple[User, ...] = ()
    configuration: PathText = "/etc/asterisk/asterisk.conf"
    run_directory: OptionalPath = None


@dataclass(frozen=True)
class WatchSettings:
    """Directories to watch in addition to those where the kernel writes cores; `rescan` is in seconds."""

    directories: tuple[PathText, ...] = ()
    poll: tuple[PathText, ...] = ()
    rescan: Seconds = 600.0


@dataclass(frozen=True)
class CollectorSettings:
    """The directories of the collectors, which are only read. Each registered collector has a field, added below."""

    def directories(self, collector: Collector) -> tuple[str, ...]:
        """Return the directories in which a collector stores cores."""
        configured: tuple[str, ...] = getattr(self, collector.settings_key)
        return configured


def _all_collectors() -> type[CollectorSettings]:
    """Return `CollectorSettings` with a field for each registered collector."""
    fields = [(each.settings_key, tuple[PathText, ...], field(default=each.directories)) for each in COLLECTORS]
    made = make_dataclass("AllCollectorSettings", fields, bases=(CollectorSettings,), frozen=True)
    return cast(type[CollectorSettings], made)


AllCollectorSettings = _all_collectors()


@dataclass(frozen=True)
class UnpackingSettings:
    """Limits for unpacking a core: its size in bytes, and the ratio to its packed size, without pages of zeros."""

    size: Bytes = 64 << 30
    ratio: AtLeastOne = 500


@dataclass(frozen=True)
class CoreSettings:
    """What to do with a core after its crash is recorded."""

    action: CoreAction = CoreAction.MOVE


@dataclass(frozen=True)
class GdbSettings:
    """Which gdb to run, as which user, and its limits. Times in seconds, sizes in bytes."""

    program: Program = "gdb"
    user: Name = "astbtd-gdb"
    time: Seconds = 300.0
    address_space: AddressSpace = 1 << 30
    output: OutputBytes = 64 << 20
    backtrace_limit: Frames = 200
    container_root: OptionalPath = None

    @property
    def deep(self) -> int:
        """The number of frames above which a stack counts as a runaway recursion. Each frame costs gdb 11 KB."""
        return 10 * self.backtrace_limit


@dataclass(frozen=True)
class ExtractSettings:
    """Which symbols gdb loads, how many lines of a log are kept, how many extractions the daemon repeats an hour."""

    symbols: Symbols = Symbols.LAZY
    log: LogLines = 200
    again_per_hour: Count = 12


@dataclass(frozen=True)
class SymbolSettings:
    """Where debug files are obtained from, and how much of them. `time` (seconds) and `size` (bytes) are for one file.

    `keep` is the size of all of them together, `directory` where they are kept; the unit's directory is beside it.
    """

    debuginfod: tuple[Address, ...] = ()
    time: Seconds = 300.0
    size: Bytes = 1 << 30
    keep: Bytes = 4 << 30
    directory: PathText = "/var/cache/astbtd"


@dataclass(frozen=True)
class DeadlockSettings:
    """When the daemon requests a capture of a running Asterisk, and how many are kept. Times in seconds.

    Of `more_questions`, the first waits in turn for the lock of every channel: Asterisk compares the name with each.
    """

    watch: bool = False
    interval: Seconds = 60.0
    limit: Seconds = 10.0
    failures: AtLeastOne = 3
    per_day: AtLeastOne = 3
    question: Command = "core show channels count"
    more_questions: tuple[Command, ...] = ("core show channel astbtd", "core show taskprocessors")
    keep: AtLeastOne = 20


@dataclass(frozen=True)
class Limits:
    """Limits for one kind of data; None means no limit.

    `age` is in seconds since the crash was collected, `size` in bytes for all crashes together. `count` is the number
    of crashes, `per_signature` the number of crashes of each signature.
    """

    age: Seconds | None = None
    size: Bytes | None = None
    count: Count | None = None
    per_signature: Count | None = None


@dataclass(frozen=True)
class ObjectLimits:
    """The limit for the programs and shared objects that are kept for cores: bytes in all, None means no limit."""

    size: Bytes | None = 512 << 20


@dataclass(frozen=True)
class RetentionSettings:
    """Limits for cores, texts, records and objects, and the fraction of the disk that stays free.

    `every` is in seconds.
    """

    cores: Limits = Limits(age=14 * 86400.0, size=10 << 30, per_signature=3)
    texts: Limits = Limits(age=365.25 * 86400.0, size=2 << 30)
    records: Limits = Limits(age=5 * 365.25 * 86400.0, count=100_000)
    minimum_free: Share = 0.10
    every: Seconds = 3600.0
    objects: ObjectLimits = ObjectLimits()


@dataclass(frozen=True)
class CrashLoopSettings:
    """A crash loop is this number of crashes of one signature within this many seconds."""

    crashes: Crashes = 5
    within: Seconds = 600.0


@dataclass(frozen=True)
class MetricsSettings:
    """The directory from which the node exporter reads metrics: the one of Debian's package."""

    textfile: PathText = "/var/lib/prometheus/node-exporter"


@dataclass(frozen=True)
class Settings:
    """All settings. `store` is the directory of the store."""

    store: PathText = "/var/lib/astbtd"
    asterisk: AsteriskSettings = field(default_factory=AsteriskSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    collectors: CollectorSettings = field(default_factory=AllCollectorSettings)
    unpacking: UnpackingSettings = field(default_factory=UnpackingSettings)
    cores: CoreSettings = field(default_factory=CoreSettings)
    gdb: GdbSettings = field(default_factory=GdbSettings)
    deadlock: DeadlockSettings = field(default_factory=DeadlockSettings)
    extract: ExtractSettings = field(default_factory=ExtractSettings)
    symbols: SymbolSettings = field(default_factory=SymbolSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    crash_loop: CrashLoopSettings = field(default_factory=CrashLoopSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)


def load(path: Path | None) -> Settings:
    """Read the settings from `path` and from the files of local settings beside it.

    With None, `path` is /etc/astbtd.yaml, which need not exist. Raises BadConfiguration with all errors of all files.
    """
    main = path or DEFAULT_FILE
    files = [main, *local_files(main)] if path or os.path.lexists(main) else local_files(main)
    merged = read_merged(files, _decode)
    return _decode(ParsedYaml(merged), str(main)) if merged else Settings()


def parse(text: bytes, origin: str) -> Settings:
    """Parse a YAML document. `origin` is its name in errors. Raises BadConfiguration."""
    return _decode(parse_yaml(text, origin), origin)


def _decode(parsed: ParsedYaml, origin: str) -> Settings:
    decoder = Decoder(strict=True)
    secrets = list(take_secrets_out(parsed.document))
    settings = decoder.decode(Settings, parsed.document, "")
    if settings is None or parsed.problems or secrets:
        raise BadConfiguration(origin, [*parsed.problems, *secrets, *decoder.problems])
    return settings
