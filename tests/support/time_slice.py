"""How long the kernel lets a thread run before others, which programs can set since Linux 6.12.

Run as a program, it prints the slices of all threads of the process whose pid is given.
"""

import ctypes
import os
import struct
import sys

LONGEST = 100_000_000
"""The longest slice that the kernel accepts, in nanoseconds."""

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # struct sched_attr of sched_setattr(2); the sixth is the slice
_libc = ctypes.CDLL(None, use_errno=True)


def time_slice(thread: int) -> int:
    """Return the slice of a thread in nanoseconds; 0 is the calling thread."""
    buffer = ctypes.create_string_buffer(_ATTRIBUTES.size)
    number = _SCHED_GETATTR[os.uname().machine]
    if _libc.syscall(ctypes.c_long(number), ctypes.c_long(thread), buffer, len(buffer), 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    return int(_ATTRIBUTES.unpack(buffer.raw)[5])


def time_slices(pid: int) -> dict[int, int]:
    """Return the slice of each thread of a process, in nanoseconds."""
    return {int(thread): time_slice(int(thread)) for thread in os.listdir(f"/proc/{pid}/task")}


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, time_slices(int(sys.argv[1])).values())))
