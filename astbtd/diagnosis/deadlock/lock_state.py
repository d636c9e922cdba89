"""Reads which lock a thread waits for, and who owns it, from its registers, its frames and the lock's memory.

Sources: for the layouts of pthread_mutex_t and pthread_rwlock_t on 64-bit machines, which are little endian,
sysdeps/nptl/bits/struct_mutex.h and struct_rwlock.h of glibc; for the protocols, nptl/pthread_rwlock_common.c and
lowlevellock.c; for the futex operations, futex(2). Tested on x86-64 and aarch64.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.lock_listing import LockListing
from astbtd.diagnosis.frame_kind import FrameKind, classify, plain_name
from astbtd.model.deadlock_capture import LockKind, OwnerState, ThreadState

# Futex operations that wait, without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
_FUTEX_WAIT, _FUTEX_LOCK_PI, _FUTEX_WAIT_BITSET, _FUTEX_LOCK_PI2 = 0, 6, 9, 13
_FUTEX_WAIT_OPERATIONS = frozenset((_FUTEX_WAIT, _FUTEX_LOCK_PI, _FUTEX_WAIT_BITSET, _FUTEX_LOCK_PI2))
_OPERATION_MASK = 0x7F
_FUTEX_ARGUMENTS = 4  # address, operation, expected value, time limit

_BYTES_BEFORE_FUTEX = 16  # in ThreadState.near
# Offsets in the locks, in bytes
_MUTEX_OWNER = 8
_RWLOCK_READERS = 0
_RWLOCK_WRITE_PHASE_FUTEX = 8
_RWLOCK_WRITERS_FUTEX = 12
_RWLOCK_WRITER = 24
# __readers of a rwlock: the lowest bits are flags, the others the number of readers
_WRITE_PHASE = 1
_READERS_SHIFT = 3
_MAX_PHASE_VALUE = 3  # the futexes at 8 and 12 have at most this value, __readers at 0 has a larger one

# What a restarted system call was, by a part of the name of the C library's function
_RESTARTED_STATES = {
    "sleep": OwnerState.SLEEPING,
    "poll": OwnerState.IO,
    "cond": OwnerState.CONDITION,
    "sem_": OwnerState.CONDITION,
}

# Asterisk's wrappers, which try and sleep in turns in a build with DETECT_DEADLOCKS (main/lock.c)
_POLLING_WRAPPERS = {
    "__ast_pthread_mutex_lock": LockKind.MUTEX,
    "__ast_rwlock_rdlock": LockKind.RWLOCK,
    "__ast_rwlock_wrlock": LockKind.RWLOCK,
}
_LOCK_ARGUMENT = re.compile(r"\bt=(0x[0-9a-f]{1,16})\b")
_BELOW_WRAPPER = (FrameKind.C_LIBRARY, FrameKind.LOCK, FrameKind.UNKNOWN)

_LOCK_FUNCTION_KINDS = (FrameKind.LOCK, FrameKind.ASTERISK_LOCK, FrameKind.C_LIBRARY, FrameKind.UNKNOWN)
# The argument with the lock's name that Asterisk's wrappers get (include/asterisk/lock.h, astobj2.h)
_NAME_ARGUMENT = re.compile(r'\b(?:mutex_name|name|var)=0x[0-9a-f]+(?: <[^>]*>)? "([^"\\]{1,200})"')


@dataclass(frozen=True)
class SystemCalls:
    """The numbers of the system calls in which threads wait, on one machine.

    `restart` is restart_syscall(2): the kernel replaces a call with a time limit by it if the call was interrupted, for
    example by an earlier snapshot.
    """

    futex: int
    restart: int
    states: dict[int, OwnerState]


def _states_by_number(**numbers: str) -> dict[int, OwnerState]:
    """Return states by system call. The arguments are lists such as `7 17-20`, by the name of the state."""
    states = {}
    for name, listed in numbers.items():
        for part in listed.split():
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                states[number] = OwnerState[name]
    return states


MACHINES = {  # arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
    "i386:x86-64": SystemCalls(
        futex=202,
        restart=219,
        states=_states_by_number(
            IO="0 1 7 17-20 23 42-47 74 75 232 270 271 281 288 295 296 299 307 441",
            SLEEPING="35 230",
            SIGNAL="34 128 130",
            CHILD="61 247",
        ),
    ),
    "aarch64": SystemCalls(
        futex=98,
        restart=128,
        states=_states_by_number(
            IO="22 63-70 72 73 82 83 202 203 206 207 211 212 242 243 269 441",
            SLEEPING="101 115",
            SIGNAL="133 137",
            CHILD="95 260",
        ),
    ),
}


@dataclass(frozen=True)
class AwaitedLock:
    """A lock that a thread waits for. `owner` is the LWP of the owner, None if there is none, or if several share it.

    `read_held`: readers hold the lock, which does not contain who they are. `timed`: the wait has a time limit.
    """

    kind: LockKind
    address: int
    owner: int | None
    read_held: bool
    timed: bool


def read_awaited_lock(state: ThreadState, frames: Sequence[Frame], calls: SystemCalls) -> AwaitedLock | None:
    """Return the lock that a thread waits for, None if it does not wait for one. The innermost frame is the first."""
    if state.syscall not in (calls.futex, calls.restart) or len(state.arguments) < _FUTEX_ARGUMENTS:
        return None
    futex, operation, expected, timeout = state.arguments[:_FUTEX_ARGUMENTS]
    if operation & _OPERATION_MASK not in _FUTEX_WAIT_OPERATIONS:
        return None
    kind = _lock_kind(frames)
    if kind is None:
        return None
    offset = 0 if kind is LockKind.MUTEX else _offset_in_rwlock(futex, expected)
    return _read_lock(kind, futex - offset, offset, _decode(state.near), timed=timeout != 0)


def read_polled_lock(
    state: ThreadState, frames: Sequence[Frame], calls: SystemCalls, listing: LockListing
) -> AwaitedLock | None:
    """Return the lock that a thread tries to lock again and again: it sleeps below a wrapper of Asterisk.

    Builds with DETECT_DEADLOCKS do this, and then no system call shows the lock. Its owner is read from memory, or
    else from the listing.
    """
    wrapper = _polling_wrapper(frames)
    if wrapper is None or not _may_sleep(state, frames, calls):
        return None
    kind = _POLLING_WRAPPERS[plain_name(wrapper.function or "")]
    argument = _LOCK_ARGUMENT.search(wrapper.arguments)
    listed = listing.awaited_by_lwp.get(state.lwp)
    address = state.polled_lock or (int(argument[1], 16) if argument else None) or (listed.address if listed else None)
    if address is None:
        return None
    if state.polled_lock is not None and state.near:
        return _read_lock(kind, address, 0, _decode(state.near), timed=False)
    holders = listing.holders.get(address, ())
    read_held = listing.is_read_held(address)
    owner = holders[0] if len(holders) == 1 and not read_held else None
    return AwaitedLock(kind, address, owner, read_held, False)


def _polling_wrapper(frames: Sequence[Frame]) -> Frame | None:
    """Return the innermost frame that is not of the C library if it is a wrapper that locks."""
    for frame in frames:
        if classify(frame) not in _BELOW_WRAPPER:
            return frame if plain_name(frame.function or "") in _POLLING_WRAPPERS else None
    return None


def _may_sleep(state: ThreadState, frames: Sequence[Frame], calls: SystemCalls) -> bool:
    return describe_activity(state, frames, calls) is OwnerState.SLEEPING


def _read_lock(kind: LockKind, address: int, offset: int, near: bytes, *, timed: bool) -> AwaitedLock:
    """Return the lock at `address`, from the memory `near`, which was read around the lock's byte `offset`."""
    if kind is LockKind.MUTEX:
        return AwaitedLock(kind, address, _read_owner(near, _MUTEX_OWNER - offset), False, timed)
    writer = _read_owner(near, _RWLOCK_WRITER - offset)
    read_held = writer is None and _is_read_held(_read_word(near, _RWLOCK_READERS - offset))
    return AwaitedLock(kind, address, writer, read_held, timed)


def describe_activity(state: ThreadState, frames: Sequence[Frame], calls: SystemCalls) -> OwnerState:
    """Return what a thread does that does not wait for a lock."""
    if state.syscall is None:
        return OwnerState.RUNNING
    if state.syscall == calls.futex:
        return OwnerState.CONDITION
    if state.syscall == calls.restart:
        return _restarted_state(frames)
    return calls.states.get(state.syscall, OwnerState.SYSTEM_CALL)


def find_lock_frame(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame that takes the lock: the innermost one that is not a lock function."""
    for frame in frames:
        if classify(frame) not in _LOCK_FUNCTION_KINDS:
            return frame
    return None


def find_lock_name(frames: Sequence[Frame]) -> str | None:
    """Return the lock's name from the arguments of Asterisk's lock functions, without a leading `&`."""
    for frame in frames:
        kind = classify(frame)
        if kind is FrameKind.CODE:
            return None
        name = _NAME_ARGUMENT.search(frame.arguments) if kind is FrameKind.ASTERISK_LOCK else None
        if name:
            return name[1].lstrip("&")
    return None


def find_thread_start(frames: Sequence[Frame]) -> str | None:
    """Return the function in which the thread started: the outermost named one of Asterisk or a module."""
    for frame in reversed(frames):
        if frame.function and classify(frame) is FrameKind.CODE:
            return plain_name(frame.function)
    return None


def _lock_kind(frames: Sequence[Frame]) -> LockKind | None:
    """Return the kind of lock, by the innermost function that has a name.

    The memory does not show it: malloc and stdio have locks of their own, which look like a mutex.
    """
    for frame in frames:
        if not frame.function:
            continue
        name = plain_name(frame.function).lstrip("_")
        if name.startswith("pthread_mutex_") and "lock" in name:
            return LockKind.MUTEX
        if name.startswith("pthread_rwlock_"):
            return LockKind.RWLOCK
        is_lock_function = classify(frame) is FrameKind.LOCK
        if not is_lock_function or name.startswith("pthread_cond_"):
            return None
    return None


def _restarted_state(frames: Sequence[Frame]) -> OwnerState:
    """Return what a call did before it was restarted, by the innermost function that has a name."""
    name = next((plain_name(frame.function) for frame in frames if frame.function), "")
    for part, state in _RESTARTED_STATES.items():
        if part in name:
            return state
    return OwnerState.SYSTEM_CALL


def _offset_in_rwlock(futex: int, expected: int) -> int:
    """Return the offset of the futex in its rwlock, which is aligned to 8 bytes."""
    if futex % 8:
        return _RWLOCK_WRITERS_FUTEX
    return _RWLOCK_WRITE_PHASE_FUTEX if expected <= _MAX_PHASE_VALUE else _RWLOCK_READERS


def _is_read_held(readers: int | None) -> bool:
    """Return True if `readers`, the word __readers of a rwlock, says that readers hold it."""
    if readers is None or readers & _WRITE_PHASE:
        return False
    return readers >> _READERS_SHIFT > 0


def _read_owner(near: bytes, offset: int) -> int | None:
    """Return the LWP of an owner. 0 means none: the lock is being handed over, or readers hold it."""
    return _read_word(near, offset) or None


def _read_word(near: bytes, offset: int) -> int | None:
    """Return the 32-bit word of memory that is `offset` bytes from the futex, None if it was not read."""
    position = _BYTES_BEFORE_FUTEX + offset
    if not 0 <= position <= len(near) - 4:
        return None
    return int(struct.unpack_from("<I", near, position)[0])


def _decode(hexadecimal: str | None) -> bytes:
    try:
        return bytes.fromhex(hexadecimal or "")
    except ValueError:
        return b""
