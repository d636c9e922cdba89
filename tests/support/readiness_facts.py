"""An Asterisk and a host for which every check is ok, for tests that change one fact."""

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
    Process,
    StartedBy,
    Unit,
)
from astbtd.readiness.program_facts import MappedObject, ObjectRole, Program
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
    host_path="/var/lib/asterisk",
    is_fixed=False,
    problem=None,
    uid=110,
    gid=115,
    mode=0o750,
    read_only=False,
    free=10 << 30,
    existing=None,
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
        MappedObject(EXECUTABLE, ObjectRole.ASTERISK, change=None, symbols=True, readable=True),
        MappedObject(MODULE, ObjectRole.ASTERISK, change=None, symbols=True, readable=True),
        MappedObject("/usr/lib/libssl.so.3", ObjectRole.LIBRARY, change=None, symbols=False, readable=True),
    ),
)
HOST = HostFacts(
    family=Family.DEBIAN,
    kernel=Kernel(core_pattern.parse("core"), None, uses_pid=False, suid_dumpable=0, helper_runs=None),
    coredump=None,
    gdb=Gdb("gdb", "16.3", python=True, problem=None),
    store=Disk("/var/lib/astbtd", free=50 << 30, total=100 << 30),
    journal_persistent=True,
    astbtd=Unit("astbtd.service", {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}),
)


def instance(**changes: Any) -> Instance:
    """Return the Asterisk with changes."""
    return replace(INSTANCE, **changes)


def process(**changes: Any) -> Process:
    """Return its process with changes."""
    return replace(PROCESS, **changes)


def directory(**changes: Any) -> Directory:
    """Return the directory of its core with changes."""
    return replace(DIRECTORY, **changes)


def kernel(pattern: str, *, watched: bool = True, **changes: Any) -> Kernel:
    """Return a kernel with a core_pattern, whose cores are watched or not."""
    parsed = core_pattern.parse(pattern)
    reason = None if watched else f"core_pattern {pattern!r} leads elsewhere"
    return replace(Kernel(parsed, reason, uses_pid=False, suid_dumpable=0, helper_runs=None), **changes)


def unit(name: str = "asterisk.service", **properties: str) -> Unit:
    """Return a unit with these properties."""
    return Unit(name, properties)


def result(check: Check | None) -> tuple[State, str]:
    """Return the state of a check and what it found."""
    assert check is not None
    return check.state, check.found


def remedy(check: Check | None) -> str:
    """Return the remedy of a check that has one."""
    assert check is not None
    assert check.remedy is not None
    return check.remedy
