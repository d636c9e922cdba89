"""An Asterisk and a machine of which every check is ok, for tests that change one thing about them."""

from dataclasses import replace
from typing import Any

from astbtd.model.crash import Asterisk
from astbtd.readiness.facts import (
    Console,
    Credentials,
    Directory,
    Disk,
    Family,
    Gdb,
    HostFacts,
    Instance,
    Kernel,
    Limit,
    MappedObject,
    Process,
    Program,
    Role,
    StartedBy,
    Unit,
)
from astbtd.readiness.result import Check, State
from astbtd.sources import core_pattern

EXECUTABLE = "/usr/sbin/asterisk"
MODULE = "/usr/lib/asterisk/modules/app_dial.so"
BUILT = Asterisk("22.10.0", ("BETTER_BACKTRACES", "DEBUG_THREADS", "DONT_OPTIMIZE"), True, True, True)
UNLIMITED = Limit(None, None)
FORBIDDEN = Limit(0, 0)

PROCESS = Process(
    pid=42,
    command=(b"/usr/sbin/asterisk", b"-g", b"-f"),
    credentials=Credentials(uid=110, groups=frozenset((115,)), capabilities=0),
    core_limit=UNLIMITED,
    dumpable=True,
    resident=100 << 20,
    writable=400 << 20,
    started=1_700_000_000.0,
)
WITHOUT_G = replace(PROCESS, command=(b"/usr/sbin/asterisk", b"-f"))
DIRECTORY = Directory(
    path="/var/lib/asterisk",
    here="/var/lib/asterisk",
    fixed=False,
    problem=None,
    uid=110,
    gid=115,
    mode=0o750,
    read_only=False,
    free=10 << 30,
    entry=None,
)
INSTANCE = Instance(
    process=PROCESS,
    manager=StartedBy.UNIT,
    unit=Unit("asterisk.service", {"ExecStart": "{ argv[]=/usr/sbin/asterisk -g -f ; }", "LimitCORE": "infinity"}),
    configuration="/etc/asterisk/asterisk.conf",
    configured_dumpcore=False,
    console=Console(True, BUILT),
    directory=DIRECTORY,
    program=Program(EXECUTABLE, symbols=True, readable=True, built=BUILT, packages=("asterisk",)),
    objects=(
        MappedObject(EXECUTABLE, Role.ASTERISK, change=None, symbols=True, readable=True),
        MappedObject(MODULE, Role.ASTERISK, change=None, symbols=True, readable=True),
        MappedObject("/usr/lib/libssl.so.3", Role.LIBRARY, change=None, symbols=False, readable=True),
    ),
)
MACHINE = HostFacts(
    family=Family.DEBIAN,
    kernel=Kernel(core_pattern.parse("core"), None, uses_pid=False, suid_dumpable=0, helper=None),
    coredump=None,
    gdb=Gdb("gdb", "16.3", python=True, problem=None),
    store=Disk("/var/lib/astbtd", free=50 << 30, total=100 << 30),
    journal_persistent=True,
    astbtd=Unit("astbtd.service", {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}),
)


def instance(**changes: Any) -> Instance:
    """The Asterisk, with changes."""
    return replace(INSTANCE, **changes)


def process(**changes: Any) -> Process:
    """Its process, with changes."""
    return replace(PROCESS, **changes)


def directory(**changes: Any) -> Directory:
    """Where its core goes, with changes."""
    return replace(DIRECTORY, **changes)


def kernel(pattern: str, *, seen: bool = True, **changes: Any) -> Kernel:
    """A kernel with that core_pattern, whose cores are seen or not."""
    parsed = core_pattern.parse(pattern)
    unseen = None if seen else f"core_pattern {pattern!r} leads elsewhere"
    return replace(Kernel(parsed, unseen, uses_pid=False, suid_dumpable=0, helper=None), **changes)


def unit(name: str = "asterisk.service", **properties: str) -> Unit:
    """A unit with these properties."""
    return Unit(name, properties)


def told(check: Check | None) -> tuple[State, str]:
    """The state of a check and what it found."""
    assert check is not None
    return check.state, check.found


def remedy(check: Check | None) -> str:
    """The remedy of a check that has one."""
    assert check is not None
    assert check.remedy is not None
    return check.remedy
