"""What `astbtd check` answers: one check for each thing that a usable backtrace depends on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from astbtd.lib.escaping import printable_line

NEEDS_ROOT = "run it as root: sudo astbtd check"


class State(StrEnum):
    """How a check ended. Failed is what, by itself, leaves the next crash without a usable backtrace."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Name(StrEnum):
    """The checks, in the order in which they are shown; scripts may rely on the names."""

    ASTERISK = "asterisk"
    DUMPCORE = "dumpcore"
    CORE_LIMIT = "core-limit"
    UNIT_CORE_LIMIT = "unit-core-limit"
    DUMPABLE = "dumpable"
    CORE_PATTERN = "core-pattern"
    CORE_USES_PID = "core-uses-pid"
    CORE_DIRECTORY = "core-directory"
    BLOCKED_CORE = "blocked-core"
    CORE_SPACE = "core-space"
    STORE_SPACE = "store-space"
    SYSTEMD_COREDUMP = "systemd-coredump"
    GDB = "gdb"
    READABLE = "readable"
    SYMBOLS = "symbols"
    DONT_OPTIMIZE = "dont-optimize"
    BETTER_BACKTRACES = "better-backtraces"
    DEBUG_THREADS = "debug-threads"
    UP_TO_DATE = "up-to-date"
    JOURNAL = "journal"
    ASTBTD_UNIT = "astbtd-unit"


NEVER_FAILING = frozenset(
    (
        Name.CORE_USES_PID,
        Name.STORE_SPACE,
        Name.READABLE,
        Name.SYMBOLS,
        Name.DONT_OPTIMIZE,
        Name.BETTER_BACKTRACES,
        Name.DEBUG_THREADS,
        Name.JOURNAL,
    )
)
"""The checks of which the worst is a warning: not knowing them leaves the answer as it is."""


@dataclass(frozen=True)
class Check:
    """One line: what was `found`, and as `remedy` a command or setting to copy where one would help."""

    name: Name
    state: State
    found: str
    remedy: str | None = None


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be had, why, and what would help."""

    reason: str
    remedy: str | None = None


@dataclass(frozen=True)
class Readiness:
    """The answer; `usable` is None where too little is known. The fields are those of `astbtd check --json`."""

    usable: bool | None
    checks: tuple[Check, ...]


def judged(checks: Iterable[Check]) -> Readiness:
    """The answer that follows from all checks, in the order of their names."""
    order = list(Name)
    told = tuple(_shown(check) for check in sorted(checks, key=lambda check: order.index(check.name)))
    if any(check.state is State.FAILED for check in told):
        return Readiness(False, told)
    open_ = any(check.state is State.UNKNOWN and check.name not in NEVER_FAILING for check in told)
    return Readiness(None if open_ else True, told)


def _shown(check: Check) -> Check:
    """On one line, whatever names Asterisk's user has given to its files."""
    remedy = None if check.remedy is None else printable_line(check.remedy)
    return replace(check, found=printable_line(check.found), remedy=remedy)


def ok(name: Name, found: str) -> Check:
    """A check with nothing to be done."""
    return Check(name, State.OK, found)


def warning(name: Name, found: str, remedy: str) -> Check:
    """A check that found what makes backtraces poorer, or may lose one."""
    return Check(name, State.WARNING, found, remedy)


def failed(name: Name, found: str, remedy: str) -> Check:
    """A check that found why the next crash gives no usable backtrace."""
    return Check(name, State.FAILED, found, remedy)


def unknown(name: Name, why: Unknown) -> Check:
    """A check whose facts could not be had."""
    return Check(name, State.UNKNOWN, why.reason, why.remedy)
