"""Builds threads that wait for locks, as gdb reports them, and records of captures."""

import struct
from collections.abc import Sequence
from datetime import timedelta

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.deadlock.wait_graph import WaitSample, build_sample
from astbtd.model.crash import Asterisk, Process
from astbtd.model.deadlock_capture import (
    AskedBy,
    Deadlock,
    Finding,
    LockKind,
    LocksCli,
    OwnerState,
    Sample,
    ThreadState,
    ThreadStates,
    Wait,
)
from tests.support.builders import NOON

X86_64 = "i386:x86-64"
FUTEX = {X86_64: 202, "aarch64": 98}
PRIVATE_WAIT, PRIVATE_TIMED = 0x80, 0x189
MUTEX_FRAMES = ("futex_wait", "__lll_lock_wait", "___pthread_mutex_lock", "__ast_pthread_mutex_lock")
STRIPPED_FRAMES = ("??", "??", "pthread_mutex_lock")
READ_FRAMES = ("futex_wait", "__pthread_rwlock_rdlock_full64", "___pthread_rwlock_rdlock", "__ast_rwlock_rdlock")
WRITE_FRAMES = ("futex_wait", "__pthread_rwlock_wrlock_full64", "___pthread_rwlock_wrlock", "__ast_rwlock_wrlock")

ReportedThread = tuple[ThreadState, str]
"""The state of a thread, and its part of `thread apply all bt`."""


def mutex(lwp: int, lock: int, owner: int, *, frames: Sequence[str] = MUTEX_FRAMES, timeout: int = 0) -> ReportedThread:
    """Return a thread that waits for the mutex at `lock`."""
    words = struct.pack("<IIIII", 2 if owner else 0, 1, owner, 1, 0)
    return waiting(lwp, lock, words, 0, PRIVATE_WAIT, 2, frames, timeout)


def rwlock(
    lwp: int, lock: int, writer: int, *, readers: int = 0, phase: int = 0, futex: int = 8, value: int = 3
) -> ReportedThread:
    """Return a thread that waits for the rwlock at `lock`. `futex` is the offset of the futex in it."""
    words = struct.pack("<IIIIIIIi", readers << 3 | phase, 0, 0, 0, 0, 0, writer, 0)
    return waiting(
        lwp, lock + futex, words, futex, PRIVATE_TIMED, value, WRITE_FRAMES if futex == 12 else READ_FRAMES, 0
    )


def waiting(
    lwp: int, futex: int, words: bytes, at: int, operation: int, value: int, frames: Sequence[str], timeout: int
) -> ReportedThread:
    """Return a thread in a futex call. `words` is the memory of the lock, `at` the offset of the futex in it."""
    near = (bytes(16 - at) + words).ljust(80, b"\xee")
    state = ThreadState(lwp, 202, (futex, operation, value, timeout, 0, 0), 0x7F00 + lwp, near.hex(), None)
    return state, listing(lwp, *frames, f"wait_{lwp}", "pbx_thread", "start_thread")


def elsewhere(lwp: int, syscall: int | None, *frames: str) -> ReportedThread:
    """Return a thread that does not wait for a lock."""
    state = ThreadState(lwp, syscall, (0, 0, 0, 0, 0, 0) if syscall is not None else ())
    return state, listing(lwp, *frames, "start_thread")


def listing(lwp: int, *frames: str) -> str:
    """Return a thread as `thread apply all bt` prints it."""
    lines = [f"#{level}  0x{level + 1:x} in {name}{_location(name, level)}" for level, name in enumerate(frames)]
    return f"Thread {lwp} (Thread 0x7f{lwp:x} (LWP {lwp})):\n" + "\n".join(lines) + "\n\n"


def _location(name: str, level: int) -> str:
    return f" () at app_queue.c:{100 + level}" if name.startswith(("wait_", "pbx_")) else " () from /lib/libc.so.6"


def sample_of(
    *threads: ReportedThread, machine: str | None = X86_64, inactive_lwps: frozenset[int] | None = None
) -> WaitSample:
    """Return a sample with these threads."""
    states = ThreadStates(machine, tuple(state for state, _ in threads))
    return build_sample(parse("".join(text for _, text in threads)), states, inactive_lwps=inactive_lwps)


def capture(minutes: float = 0, finding: Finding = Finding.DEADLOCK, pid: int = 4242) -> Deadlock:
    """Return a capture so many minutes after NOON, with a value in every field."""
    at = NOON + timedelta(minutes=minutes)
    first = Wait(
        11, "pbx_thread", "try_calling", "app_queue.c", 4321, "0x10", "queue", LockKind.MUTEX, 12, OwnerState.WAITING
    )
    second = Wait(12, "pbx_thread", "leave_queue", None, None, "0x20", None, LockKind.RWLOCK, 11, OwnerState.WAITING)
    return Deadlock(
        id=f"{at:%Y%m%dT%H%M%SZ}-{pid}-abcdef",
        host="pbx1",
        captured_at=at,
        asked_by=AskedBy.COMMAND,
        process=Process(pid, pid, 110, 115, "/usr/sbin/asterisk", "ab" * 20, "asterisk -g -f", None),
        asterisk=Asterisk("22.10.0", ("OPTIONAL_API",), True, False, True),
        samples=(Sample(at, 0.021, 75, 0, (), LocksCli.TIMEOUT),),
        locks_cli=LocksCli.TIMEOUT,
        wait_for=(first, second),
        finding=finding,
        cycle=(11, 12) if finding is Finding.DEADLOCK else None,
        summary=f"{finding}: LWP 11 (pbx_thread, app_queue.c:4321) waits for queue held by LWP 12",
    )


def taskprocessor_listing(*queues: tuple[str, int, int]) -> str:
    """Return what `core show taskprocessors` of Asterisk 22 prints: name, number processed and number waiting of each.

    The high water mark of each is 500.
    """
    columns = (
        "Processor",
        "Processed",
        "In Queue",
        "Max Depth",
        "Low water",
        "High water",
        "Low time(us)",
        "High time(us)",
    )
    header = f"{columns[0]:<70} " + " ".join(f"{column:>10}" for column in columns[1:])
    rows = [
        f"{name:<70} {done:>10} {waiting:>10} {waiting:>10} {450:>10} {500:>10} {3:>10} {977:>10}"
        for name, done, waiting in queues
    ]
    return "\n".join(["", header, *rows, "", f"{len(rows)} taskprocessors", ""])
