"""The few ptrace(2) requests that hold a thread still, read its registers and let it go; none writes to it.

PTRACE_SEIZE alone stops nothing, and when the tracing thread ends, however it does, the kernel lets all go it held.
"""

import ctypes
import os
from enum import IntEnum


class RegisterSet(IntEnum):
    """Register sets by the type of the note that a core has them in (include/uapi/linux/elf.h)."""

    GENERAL = 1
    FLOATING_POINT = 2


_DETACH, _GETREGSET, _SEIZE, _INTERRUPT = 17, 0x4204, 0x4206, 0x4207
_LARGEST_SET = 4096  # bytes
_ALL_KINDS = 0x40000000  # __WALL: threads as well
_EVENT_STOP = 128

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def seize(tid: int) -> None:
    """Becomes the tracer of a thread, which runs on. Raises OSError."""
    _request(_SEIZE, tid, 0)


def interrupt(tid: int) -> None:
    """Asks a seized thread to stop. Raises OSError."""
    _request(_INTERRUPT, tid, 0)


def detach(tid: int, signal: int) -> None:
    """Lets a stopped thread go, with the signal that it was about to get (0: none). Raises OSError."""
    _request(_DETACH, tid, signal)


def stopped(tid: int) -> int | None:
    """The signal to let a thread go with once it has stopped, None before. Raises ChildProcessError if it has ended."""
    found, status = os.waitpid(tid, os.WNOHANG | _ALL_KINDS)
    if found == 0:
        return None
    if not os.WIFSTOPPED(status):
        raise ChildProcessError(tid)
    return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)


def registers(tid: int, kind: RegisterSet) -> bytes:
    """A register set of a stopped thread, as a core holds it. Raises OSError."""
    buffer = ctypes.create_string_buffer(_LARGEST_SET)
    vector = _Vector(ctypes.addressof(buffer), _LARGEST_SET)
    _call(_GETREGSET, tid, kind, ctypes.addressof(vector))
    return buffer.raw[: vector.length]


def _request(request: int, tid: int, data: int) -> None:
    _call(request, tid, 0, data)


def _call(request: int, tid: int, address: int, data: int) -> None:
    if _ptrace(request, tid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
