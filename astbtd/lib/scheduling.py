"""Lets other programs, such as the PBX, take the processor from ours as soon as they need it.

The idle policy does that only among the programs of one control group, and systemd gives each service its own. Since
Linux 6.6, a thread that wakes up waits until the running one has used up its time slice, a few milliseconds. Since
Linux 6.12, it does not wait if its own slice is shorter, in whichever group it is (PREEMPT_SHORT in
kernel/sched/features.h). The length of a slice does not change how much of the processor a program gets.
"""

import os
import struct
from contextlib import suppress

from astbtd.lib.system_calls import system_call

_SLICE = 100_000_000  # nanoseconds: the longest that the kernel accepts; most programs have 3 ms or less
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # glibc has a function for it since 2.41
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # struct sched_attr of sched_setattr(2)


def let_others_preempt() -> None:
    """Do so for the calling thread, and for all threads and programs that it starts from now on.

    It has no effect before Linux 6.12, and none on other processors than x86-64 and arm64.
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.sched_getscheduler(0), 0, nice, 0, _SLICE, 0, 0)
    with suppress(OSError):  # a container may forbid it
        system_call(number, 0, attributes, 0)
