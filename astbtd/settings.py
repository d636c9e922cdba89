"""What the administrator may set: typed, with defaults that are right without reading, checked all at once."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from astbtd.errors import BadConfiguration
from astbtd.lib import quantities
from astbtd.lib.serialization import Decoder, HumanFormat
from astbtd.model.crash import CoreAction, Symbols

DEFAULT_FILE = Path("/etc/astbtd.yaml")

_ONLY_COMMENTS = re.compile(rb"(?:[ \t]*(?:#[\t -~]*)?\r?\n)*")
_LARGEST_FILE = 1 << 20  # bytes; a configuration is a page, and a device or a log given by mistake is not read


def _at_least(lowest: float, parse: HumanFormat) -> HumanFormat:
    def checked(value: object) -> object:
        parsed = parse.parse(value)
        if not isinstance(parsed, int | float) or parsed < lowest:
            raise ValueError(value)
        return parsed

    return HumanFormat(checked, f"{parse.allowed}, at least {lowest:g}")


def _absolute(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(value)
    return os.path.normpath(value)


def _name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", value):
        raise ValueError(value)
    return value


def _program(value: object) -> str:
    return _absolute(value) if isinstance(value, str) and "/" in value else _name(value)


def _one_line(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ValueError(value)
    return value


def _whole_number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(value)
    return value


_DURATION = HumanFormat(quantities.duration, quantities.DURATION_ALLOWED)
_SIZE = HumanFormat(quantities.size, quantities.SIZE_ALLOWED)

PathText = Annotated[str, HumanFormat(_absolute, "an absolute path")]
Name = Annotated[str, HumanFormat(_name, "a name of letters, digits, '.', '_', '+' and '-'")]
Program = Annotated[str, HumanFormat(_program, "the name of a program or its absolute path")]
Seconds = Annotated[float, _at_least(1, _DURATION)]
Bytes = Annotated[int, _SIZE]
Share = Annotated[float, HumanFormat(quantities.percent, quantities.PERCENT_ALLOWED)]
AddressSpace = Annotated[int, _at_least(64 << 20, _SIZE)]
OutputBytes = Annotated[int, _at_least(1 << 16, _SIZE)]
Count = Annotated[int, _at_least(0, HumanFormat(_whole_number, "a whole number"))]
Crashes = Annotated[int, _at_least(2, HumanFormat(_whole_number, "a whole number"))]
Frames = Annotated[int, _at_least(10, HumanFormat(_whole_number, "a whole number"))]
AtLeastOne = Annotated[int, _at_least(1, HumanFormat(_whole_number, "a whole number"))]
Command = Annotated[str, HumanFormat(_one_line, "a command of Asterisk's console")]


@dataclass(frozen=True)
class AsteriskSettings:
    """How to recognise Asterisk and where it says how it runs."""

    executables: tuple[Name, ...] = ("asterisk",)
    configuration: PathText = "/etc/asterisk/asterisk.conf"
    run_directory: Annotated[str | None, HumanFormat(_absolute, "an absolute path")] = None


@dataclass(frozen=True)
class WatchSettings:
    """Where to look for cores besides where the kernel writes Asterisk's, and how often to look unasked."""

    directories: tuple[PathText, ...] = ()
    poll: tuple[PathText, ...] = ()
    rescan: Seconds = 600.0


@dataclass(frozen=True)
class CollectorSettings:
    """Where other programs keep the cores that they collect; they are read there and never changed."""

    systemd_coredump: tuple[PathText, ...] = ("/var/lib/systemd/coredump",)
    apport: tuple[PathText, ...] = ("/var/crash", "/var/lib/apport/coredump")
    abrt: tuple[PathText, ...] = ("/var/spool/abrt",)


@dataclass(frozen=True)
class UnpackingSettings:
    """What a packed core may unpack to: in bytes, and in times of its packed size, pages of zeros not counted."""

    size: Bytes = 64 << 30
    ratio: AtLeastOne = 500


@dataclass(frozen=True)
class CoreSettings:
    """What becomes of a core once its crash is recorded."""

    action: CoreAction = CoreAction.MOVE


@dataclass(frozen=True)
class GdbSettings:
    """Which gdb, as whom, and how much it may take. Times in seconds, sizes in bytes."""

    program: Program = "gdb"
    user: Name = "astbtd-gdb"
    time: Seconds = 300.0
    address_space: AddressSpace = 1 << 30
    output: OutputBytes = 64 << 20
    backtrace_limit: Frames = 200
    container_root: Annotated[str | None, HumanFormat(_absolute, "an absolute path")] = None

    @property
    def deep(self) -> int:
        """More frames than this are those of a runaway recursion; each takes gdb 11 KB."""
        return 10 * self.backtrace_limit


@dataclass(frozen=True)
class ExtractSettings:
    """How gdb is used."""

    symbols: Symbols = Symbols.LAZY


@dataclass(frozen=True)
class DeadlockSettings:
    """When a running Asterisk is captured unasked, and how many captures are kept. Times in seconds."""

    watch: bool = False
    interval: Seconds = 60.0
    limit: Seconds = 10.0
    failures: AtLeastOne = 3
    per_day: AtLeastOne = 3
    question: Command = "core show channels count"
    keep: AtLeastOne = 20


@dataclass(frozen=True)
class Limits:
    """How much of one kind is kept; None is no limit.

    The age is in seconds since the crash was collected, the size in bytes of all together; `count` is of how many
    crashes, `per_signature` of how many crashes of each signature.
    """

    age: Seconds | None = None
    size: Bytes | None = None
    count: Count | None = None
    per_signature: Count | None = None


@dataclass(frozen=True)
class RetentionSettings:
    """How much is kept of cores, of texts and of records, and how much of the disk stays free of them."""

    cores: Limits = Limits(age=14 * 86400.0, size=10 << 30, per_signature=3)
    texts: Limits = Limits(age=365.25 * 86400.0, size=2 << 30)
    records: Limits = Limits(age=5 * 365.25 * 86400.0, count=100_000)
    minimum_free: Share = 0.10
    every: Seconds = 3600.0


@dataclass(frozen=True)
class CrashLoopSettings:
    """So many crashes of one signature within so many seconds are a loop."""

    crashes: Crashes = 5
    within: Seconds = 600.0


@dataclass(frozen=True)
class Settings:
    """All settings; `store` is the directory of the records."""

    store: PathText = "/var/lib/astbtd"
    asterisk: AsteriskSettings = field(default_factory=AsteriskSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    collectors: CollectorSettings = field(default_factory=CollectorSettings)
    unpacking: UnpackingSettings = field(default_factory=UnpackingSettings)
    cores: CoreSettings = field(default_factory=CoreSettings)
    gdb: GdbSettings = field(default_factory=GdbSettings)
    deadlock: DeadlockSettings = field(default_factory=DeadlockSettings)
    extract: ExtractSettings = field(default_factory=ExtractSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    crash_loop: CrashLoopSettings = field(default_factory=CrashLoopSettings)


def load(path: Path | None) -> Settings:
    """The settings in `path`; with None those of /etc/astbtd.yaml, or the defaults where that is absent.

    Raises BadConfiguration with every error of the file.
    """
    try:
        text = _read_trusted(path or DEFAULT_FILE)
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise BadConfiguration(str(path), ["does not exist"]) from None
    except OSError as error:
        raise BadConfiguration(str(path or DEFAULT_FILE), [f"cannot be read: {error.strerror}"]) from error
    return parse(text, str(path or DEFAULT_FILE))


def parse(text: bytes, origin: str) -> Settings:
    """The settings that a YAML document holds; `origin` names it in errors. Raises BadConfiguration."""
    if _ONLY_COMMENTS.fullmatch(text):
        return Settings()
    import yaml  # takes longer to load than most commands, which run on a configuration as it was installed

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, AttributeError, LookupError, RecursionError, ValueError) as error:  # as its tags fail
        raise BadConfiguration(origin, [f"is not valid YAML: {' '.join(str(error).split())}"]) from error
    decoder = Decoder(strict=True)
    settings = decoder.dataclass(Settings, {} if data is None else data, "")
    if settings is None:
        raise BadConfiguration(origin, decoder.problems)
    return settings


def _read_trusted(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BadConfiguration(str(path), ["is not a regular file"])
        if os.geteuid() == 0:
            _refuse_untrusted(path, status)
        text = file.read(_LARGEST_FILE + 1)
    if len(text) > _LARGEST_FILE:
        raise BadConfiguration(str(path), ["is larger than 1 MiB"])
    return text


def _refuse_untrusted(path: Path, status: os.stat_result) -> None:
    """Root follows only what root alone can write, parents included (a sticky directory protects its entries)."""
    problems = [] if _only_root_writes(status) else ["is writable by others than root: chown root, chmod go-w"]
    for parent in path.resolve().parents:
        found = parent.stat()
        if not _only_root_writes(found) and not found.st_mode & stat.S_ISVTX:
            problems.append(f"its directory {parent} is writable by others than root: chown root, chmod go-w")
    if problems:
        raise BadConfiguration(str(path), problems)


def _only_root_writes(status: os.stat_result) -> bool:
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
