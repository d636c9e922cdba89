"""The result of `astbtd check`: one check for each condition of a usable backtrace."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from astbtd.lib.escaping import printable_line

NEEDS_ROOT = "run it as root: sudo astbtd check"


class State(StrEnum):
    """The state of a check. A failed check alone makes the next backtrace unusable."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Name(StrEnum):
    """The names of the checks, in the order of the output. Scripts may rely on them."""

    ASTERISK = "asterisk"
    FOREIGN = "foreign"
    DUMPCORE = "dumpcore"
    CORE_LIMIT = "core-limit"
    UNIT_CORE_LIMIT = "unit-core-limit"
    DUMPABLE = "dumpable"
    CORE_PATTERN = "core-pattern"
    CORE_USES_PID = "core-uses-pid"
    CORE_NAME = "core-name"
    CORE_DIRECTORY = "core-directory"
    BLOCKED_CORE = "blocked-core"
    CORE_SPACE = "core-space"
    STORE_SPACE = "store-space"
    SYSTEMD_COREDUMP = "systemd-coredump"
    GDB = "gdb"
    SANDBOX = "sandbox"
    READABLE = "readable"
    SYMBOLS = "symbols"
    DEBUGINFOD = "debuginfod"
    DONT_OPTIMIZE = "dont-optimize"
    BETTER_BACKTRACES = "better-backtraces"
    DEBUG_THREADS = "debug-threads"
    UP_TO_DATE = "up-to-date"
    JOURNAL = "journal"
    ASTBTD_UNIT = "astbtd-unit"


NEVER_FAILING = frozenset(
    (
        Name.FOREIGN,
        Name.CORE_USES_PID,
        Name.CORE_NAME,
        Name.STORE_SPACE,
        Name.SANDBOX,
        Name.READABLE,
        Name.DEBUGINFOD,
        Name.DONT_OPTIMIZE,
        Name.BETTER_BACKTRACES,
        Name.DEBUG_THREADS,
        Name.JOURNAL,
    )
)
"""The checks whose worst state is a warning. If one of them is unknown, the overall result is known nevertheless."""


@dataclass(frozen=True)
class Check:
    """One line of the output: what was `found`, and a command or setting to copy as `remedy`, if there is one."""

    name: Name
    state: State
    found: str
    remedy: str | None = None


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be determined, with the reason and a remedy."""

    reason: str
    remedy: str | None = None


@dataclass(frozen=True)
class Readiness:
    """The overall result; `usable` is None if too little is known. The fields are those of `astbtd check --json`."""

    usable: bool | None
    checks: tuple[Check, ...]


def make_readiness(checks: Iterable[Check]) -> Readiness:
    """Combine all checks into the overall result, sorted by the order of `Name`."""
    order = list(Name)
    ordered = sorted(checks, key=lambda check: order.index(check.name))
    printable = tuple(_make_printable(check) for check in ordered)
    states = {check.state for check in printable}
    deciding_states = {check.state for check in printable if check.name not in NEVER_FAILING}
    usable: bool | None = True
    if State.FAILED in states:
        usable = False
    elif State.UNKNOWN in deciding_states:
        usable = None
    return Readiness(usable, printable)


def _make_printable(check: Check) -> Check:
    """Return the check on one line; file names chosen by the user of Asterisk may contain anything."""
    remedy = None if check.remedy is None else printable_line(check.remedy)
    return replace(check, found=printable_line(check.found), remedy=remedy)


def ok(name: Name, found: str) -> Check:
    """Return a check that needs no action."""
    return Check(name, State.OK, found)


def warning(name: Name, found: str, remedy: str) -> Check:
    """Return a check that found something that degrades backtraces, or may lose one."""
    return Check(name, State.WARNING, found, remedy)


def failed(name: Name, found: str, remedy: str) -> Check:
    """Return a check that found why the next backtrace will not be usable."""
    return Check(name, State.FAILED, found, remedy)


def unknown(name: Name, why: Unknown) -> Check:
    """Return a check whose facts could not be determined."""
    return Check(name, State.UNKNOWN, why.reason, why.remedy)
