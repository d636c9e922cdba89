"""Detect whether another process still writes a core file."""

import errno
import fcntl
import os
import signal
import time
from contextlib import suppress

from astbtd.elf import core_notes
from astbtd.elf.headers import Read
from astbtd.lib import mounts

_UNCHANGED_SECONDS = 60.0  # after this time without a change, a file is regarded as complete, however short it is
_MAX_CLOCK_SKEW = 3600.0  # seconds by which the clock of a file server may be ahead of ours
_LEASE_UNSUPPORTED = (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOLCK)


def is_being_written(descriptor: int) -> bool | None:
    """Return whether anybody, for example the kernel, has the file open for writing. None if that is unknown.

    Requests a read lease, which fcntl(2) grants only if nobody writes. Where other machines can change the file, the
    answer is worthless: FUSE grants the lease even if somebody writes behind it; NFS refuses it with EAGAIN if it lacks
    a delegation, as if somebody wrote.
    """
    if not mounts.inotify_works_on(mounts.file_system_type(os.readlink(f"/proc/self/fd/{descriptor}"))):
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored by default: a broken lease must not kill us
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _LEASE_UNSUPPORTED:
            return None
        raise
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def may_still_grow(descriptor: int, read: Read) -> bool:
    """Return whether a file lacks a part of its core and was changed recently, for when writers are unknown.

    `read` reads the file.
    """
    status = os.fstat(descriptor)
    age = time.time() - status.st_mtime
    return -_MAX_CLOCK_SKEW < age < _UNCHANGED_SECONDS and _is_incomplete(read, status)


def _is_incomplete(read: Read, status: os.stat_result) -> bool:
    try:
        return core_notes.facts_from_reader(read, status).truncated
    except core_notes.NotACore:
        return True
