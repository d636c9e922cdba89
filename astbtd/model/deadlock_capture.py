"""The record of one capture of a running Asterisk, as stored in `deadlock.json`, and its parts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from astbtd.model.crash import SCHEMA, Asterisk, Process

BACKTRACE_FILE = "backtrace-threads.txt"
FULL_FILE = "backtrace-threads-full.txt"
LOCKS_FILE = "core-show-locks.txt"


def sample_file(name: str, number: int) -> str:
    """Return the name of a file of the `number`-th sample. The files of the first sample have no number."""
    if number == 1:
        return name
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{number}.{suffix}"


class LockKind(StrEnum):
    """The kinds of lock whose owner can be determined."""

    MUTEX = "mutex"
    RWLOCK = "rwlock"


class OwnerState(StrEnum):
    """What the owner of a lock is doing."""

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
    """The result of a capture."""

    DEADLOCK = "deadlock"
    STUCK = "stuck"
    NONE = "none"
    UNKNOWN = "unknown"


class LocksCli(StrEnum):
    """How Asterisk answered `core show locks`. Without DEBUG_THREADS the command does not exist."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"


class AskedBy(StrEnum):
    """Who requested a capture: an administrator, or the deadlock monitor of the daemon."""

    COMMAND = "command"
    WATCH = "watch"


@dataclass(frozen=True)
class ThreadState:
    """The state of a thread according to its registers.

    `syscall` is the number of the current system call, None if the thread is running in user space; `arguments` are
    those of the system call. `near` is the memory from 16 bytes before to 64 bytes after the address in the first
    argument, hexadecimal; `symbol` is the symbol at that address. `lwp` is the thread's id in its own PID namespace.

    `polled_lock` is the address of the lock that a sleeping thread tries to lock again and again (DETECT_DEADLOCKS);
    `near` and `symbol` are those of this address then.
    """

    lwp: int
    syscall: int | None = None
    arguments: tuple[int, ...] = ()
    stack_pointer: int = 0
    near: str | None = None
    symbol: str | None = None
    polled_lock: int | None = None


@dataclass(frozen=True)
class ThreadStates:
    """All threads of one core, and gdb's name of the machine architecture, None if unknown."""

    machine: str | None = None
    threads: tuple[ThreadState, ...] = ()


@dataclass(frozen=True)
class Wait:
    """A thread that waits for a lock. `thread_name` is the thread's start function; `lock` is an address.

    `function`, `file` and `line` are where the lock is acquired. `holders` are the LWPs of readers, if
    `core show locks` lists them; `locked_at` is where it says that the owner, or the first reader, locked the lock.
    `stuck` is True if the thread was at the same place in every sample, None if there was only one.
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
    locked_at: str | None = None


@dataclass(frozen=True)
class Sample:
    """One sample of the process: when it was taken, how long its threads were stopped, how many there were.

    `bytes_later` is the size of memory that was read after they were resumed. `not_stopped` are the LWPs of threads
    that did not stop in time.
    """

    at: datetime
    stopped_seconds: float
    threads: int
    bytes_later: int
    not_stopped: tuple[int, ...]
    locks_cli: LocksCli


@dataclass(frozen=True)
class Deadlock:
    """One capture: the content of `deadlock.json`. `cycle` are LWPs, each waiting for the next."""

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
