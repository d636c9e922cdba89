"""Reads off a thread's registers, and the words of the lock they point to, which lock it waits for and who holds it.

Layouts: glibc's pthread_mutex_t and pthread_rwlock_t on 64-bit machines (sysdeps/nptl/bits/struct_mutex.h and
struct_rwlock.h), least significant byte first; the protocols: nptl/pthread_rwlock_common.c, lowlevellock.c; the futex
operations: futex(2). Tried on x86-64; on aarch64, where numbers and registers are from the documentation, unverified.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import Role, plain_name, role
from astbtd.model.deadlock_capture import LockKind, OwnerState, ThreadState

VERIFIED_MACHINE = "i386:x86-64"

_BEFORE = 16  # bytes before the futex that ThreadState.near begins at
_WAIT, _LOCK_PI, _WAIT_BITSET, _LOCK_PI2 = 0, 6, 9, 13
_WAITING = frozenset((_WAIT, _LOCK_PI, _WAIT_BITSET, _LOCK_PI2))
_OPERATION = 0x7F  # without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
_LARGEST_PHASE = 3  # of the futexes at 8 and 12 of a rwlock; the one at 0 holds larger values
_RESTARTED = {
    "sleep": OwnerState.SLEEPING,
    "poll": OwnerState.IO,
    "cond": OwnerState.CONDITION,
    "sem_": OwnerState.CONDITION,
}
_WRITE_PHASE, _READERS_SHIFT = 1, 3


@dataclass(frozen=True)
class SystemCalls:
    """The numbers of the system calls in which threads wait, on one machine.

    `restart` is what the kernel makes of a call with a time limit that was interrupted, as by an earlier snapshot.
    """

    futex: int
    restart: int
    states: dict[int, OwnerState]


def _numbered(**kinds: str) -> dict[int, OwnerState]:
    """States by system call, from lists such as `7 17-20` under the states' names."""
    return {
        number: OwnerState[state]
        for state, listed in kinds.items()
        for first, _, last in (part.partition("-") for part in listed.split())
        for number in range(int(first), int(last or first) + 1)
    }


MACHINES = {  # arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
    VERIFIED_MACHINE: SystemCalls(
        futex=202,
        restart=219,
        states=_numbered(
            IO="0 1 7 17-20 23 42-47 74 75 232 270 271 281 288 295 296 299 307 441",
            SLEEPING="35 230",
            SIGNAL="34 128 130",
            CHILD="61 247",
        ),
    ),
    "aarch64": SystemCalls(
        futex=98,
        restart=128,
        states=_numbered(
            IO="22 63-70 72 73 82 83 202 203 206 207 211 212 242 243 269 441",
            SLEEPING="101 115",
            SIGNAL="133 137",
            CHILD="95 260",
        ),
    ),
}


@dataclass(frozen=True)
class AwaitedLock:
    """A lock that a thread waits for; `timed`: until a moment only. `owner` is None where no one thread owns it.

    `read_held`: readers hold it, whom it does not name.
    """

    kind: LockKind
    address: int
    owner: int | None
    read_held: bool
    timed: bool


def awaited(state: ThreadState, frames: Sequence[Frame], calls: SystemCalls) -> AwaitedLock | None:
    """The lock that a thread with these frames, innermost first, waits for; None if it waits for none."""
    if state.syscall not in (calls.futex, calls.restart) or len(state.arguments) < 4:
        return None
    if state.arguments[1] & _OPERATION not in _WAITING:
        return None
    kind = _kind(frames)
    if kind is None:
        return None
    address, _, value, timeout = state.arguments[:4]
    near = _bytes(state.near)
    if kind is LockKind.MUTEX:
        return AwaitedLock(kind, address, _owner(near, 0), False, timeout != 0)
    base = address - _offset_in_rwlock(address, value)
    writer = _owner(near, base - address, at=24)
    readers = _word(near, base - address)
    read_held = writer is None and readers is not None and not readers & _WRITE_PHASE and readers >> _READERS_SHIFT > 0
    return AwaitedLock(kind, base, writer, read_held, timeout != 0)


def doing(state: ThreadState, frames: Sequence[Frame], calls: SystemCalls) -> OwnerState:
    """What a thread does that waits for no lock."""
    if state.syscall is None:
        return OwnerState.RUNNING
    if state.syscall == calls.futex:
        return OwnerState.CONDITION
    if state.syscall == calls.restart:
        return _restarted(frames)
    return calls.states.get(state.syscall, OwnerState.SYSTEM_CALL)


def _kind(frames: Sequence[Frame]) -> LockKind | None:
    """By the innermost function that the C library names: malloc and stdio have locks that look like a mutex."""
    for frame in frames:
        if not frame.function:
            continue
        name = plain_name(frame.function).lstrip("_")
        if name.startswith("pthread_mutex_") and "lock" in name:
            return LockKind.MUTEX
        if name.startswith("pthread_rwlock_"):
            return LockKind.RWLOCK
        if role(frame) is not Role.LOCK or name.startswith("pthread_cond_"):
            return None
    return None


def _restarted(frames: Sequence[Frame]) -> OwnerState:
    """What a call with a time limit was before it was restarted, by the innermost function that has a name."""
    name = next((plain_name(frame.function) for frame in frames if frame.function), "")
    found = (state for part, state in _RESTARTED.items() if part in name)
    return next(found, OwnerState.SYSTEM_CALL)


def _offset_in_rwlock(address: int, value: int) -> int:
    """Where in its rwlock, at a multiple of 8, the futex is: __writers_futex, __wrphase_futex or __readers."""
    if address % 8:
        return 12
    return 8 if value <= _LARGEST_PHASE else 0


def _owner(near: bytes, base: int, at: int = 8) -> int | None:
    """The LWP of an owner; 0 stands there while the lock changes hands, and while readers hold it."""
    return _word(near, base + at) or None


def _word(near: bytes, offset: int) -> int | None:
    """A word of memory, `offset` bytes from the futex."""
    position = _BEFORE + offset
    if not 0 <= position <= len(near) - 4:
        return None
    return int(struct.unpack_from("<I", near, position)[0])


def _bytes(hexadecimal: str | None) -> bytes:
    try:
        return bytes.fromhex(hexadecimal or "")
    except ValueError:
        return b""
