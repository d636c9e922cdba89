"""What all rooms share of deadlocks: who waits for whom, and the whole of `deadlock.json`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from astbtd.model.crash import SCHEMA, Asterisk, Process

BACKTRACE_FILE = "backtrace-threads.txt"
FULL_FILE = "backtrace-threads-full.txt"
LOCKS_FILE = "core-show-locks.txt"


class LockKind(StrEnum):
    """The kinds of lock whose owner can be read."""

    MUTEX = "mutex"
    RWLOCK = "rwlock"


class OwnerState(StrEnum):
    """What the owner of a lock does meanwhile."""

    RUNNING = "running"
    WAITING = "waiting for a lock"
    CONDITION = "waiting on a condition"
    IO = "waiting for I/O"
    SLEEPING = "sleeping"
    SIGNAL = "waiting for a signal"
    CHILD = "waiting for a child process"
    SYSTEM_CALL = "in a system call"
    GONE = "gone"
    READERS = "readers"
    UNKNOWN = "unknown"


class Finding(StrEnum):
    """What a capture came to."""

    DEADLOCK = "deadlock"
    STUCK = "stuck"
    NONE = "none"
    UNKNOWN = "unknown"


class LocksCli(StrEnum):
    """How Asterisk answered `core show locks`; without DEBUG_THREADS it does not know the command."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"


class AskedBy(StrEnum):
    """Who asked for a capture: an administrator, or the watch of the daemon."""

    COMMAND = "command"
    WATCH = "watch"


@dataclass(frozen=True)
class ThreadState:
    """A thread as its registers have it.

    `syscall` is the number of the system call it is in, None where it runs code of its own, and `arguments` are that
    call's. `near` is the memory from 16 bytes before to 64 bytes behind the first argument, hexadecimal; `symbol` is
    what the program calls that place. `lwp` is the thread's id in its own pid name space.
    """

    lwp: int
    syscall: int | None = None
    arguments: tuple[int, ...] = ()
    stack_pointer: int = 0
    near: str | None = None
    symbol: str | None = None


@dataclass(frozen=True)
class ThreadStates:
    """All threads of one core, and the machine by gdb's name for it, None where it is not known."""

    machine: str | None = None
    threads: tuple[ThreadState, ...] = ()


@dataclass(frozen=True)
class Wait:
    """One thread that waits for a lock. `thread_name` is the function the thread began in; `lock` an address.

    `function`, `file` and `line` are where the lock is taken. `holders` are the LWPs of readers, where
    `core show locks` names them. `stuck`: at the same place in every sample, None where there was but one.
    """

    lwp: int
    thread_name: str | None
    function: str | None
    file: str | None
    line: int | None
    lock: str
    lock_name: str | None
    kind: LockKind
    owner_lwp: int | None
    owner_state: OwnerState
    holders: tuple[int, ...] = ()
    stuck: bool | None = None


@dataclass(frozen=True)
class Sample:
    """One look at the process: when, how long its threads stood still, how many there were.

    `bytes_later` is memory that was read after they went on; `not_stopped` are threads that did not stop in time.
    """

    at: datetime
    stopped_seconds: float
    threads: int
    bytes_later: int
    not_stopped: tuple[int, ...]
    locks_cli: LocksCli


@dataclass(frozen=True)
class Deadlock:
    """One capture of a running Asterisk: the whole of `deadlock.json`. `cycle` are LWPs, each waiting for the next."""

    id: str
    host: str
    captured_at: datetime
    asked_by: AskedBy
    process: Process
    asterisk: Asterisk
    samples: tuple[Sample, ...]
    locks_cli: LocksCli
    wait_for: tuple[Wait, ...]
    finding: Finding
    cycle: tuple[int, ...] | None
    summary: str
    schema: int = SCHEMA
