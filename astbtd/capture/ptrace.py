"""The ptrace(2) requests that stop a thread, read its registers and resume it. None of them writes to the process.

PTRACE_SEIZE does not stop a thread by itself. When the tracing thread ends, for any reason, the kernel detaches it from
all threads.
"""

import ctypes
import os
from enum import IntEnum


class RegisterSet(IntEnum):
    """Register sets, by the type of their note in a core (include/uapi/linux/elf.h)."""

    GENERAL = 1
    FLOATING_POINT = 2


_DETACH, _GETREGSET, _SEIZE, _INTERRUPT = 17, 0x4204, 0x4206, 0x4207
_MAX_SET_BYTES = 4096
_WALL = 0x40000000  # __WALL: wait for threads as well
_EVENT_STOP = 128

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


class _IoVector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def seize(tid: int) -> None:
    """Become the tracer of a thread without stopping it. Raise OSError."""
    _request(_SEIZE, tid, 0)


def interrupt(tid: int) -> None:
    """Ask a seized thread to stop. Raise OSError."""
    _request(_INTERRUPT, tid, 0)


def detach(tid: int, signal: int) -> None:
    """Resume a stopped thread and deliver the signal that was pending (0: none). Raise OSError."""
    _request(_DETACH, tid, signal)


def poll_stop(tid: int) -> int | None:
    """Return the signal to detach a thread with if it has stopped, None if not. Raise ChildProcessError if it ended."""
    found, status = os.waitpid(tid, os.WNOHANG | _WALL)
    if found == 0:
        return None
    if not os.WIFSTOPPED(status):
        raise ChildProcessError(tid)
    return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)


def registers(tid: int, kind: int) -> bytes:
    """Return a register set of a stopped thread, in the format of a core's note. Raise OSError.

    `kind` is a RegisterSet or the type of the note of another set.
    """
    buffer = ctypes.create_string_buffer(_MAX_SET_BYTES)
    vector = _IoVector(ctypes.addressof(buffer), _MAX_SET_BYTES)
    _call(_GETREGSET, tid, kind, ctypes.addressof(vector))
    return buffer.raw[: vector.length]


def _request(request: int, tid: int, data: int) -> None:
    _call(request, tid, 0, data)


def _call(request: int, tid: int, address: int, data: int) -> None:
    if _ptrace(request, tid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
