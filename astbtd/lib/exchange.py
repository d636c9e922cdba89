"""Exchange two directories in one step: a reader sees either all files of the one, or all of the other.

Python has no function for it. renameat2(2) with RENAME_EXCHANGE is in Linux since 3.15 and in glibc since 2.28; ext4,
XFS, Btrfs, tmpfs and overlay support it, NFS does not.
"""

import ctypes
import errno
import os
from pathlib import Path

from astbtd.lib import files

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two directories, atomically and durably. Return False if the file system does not support that.

    Raise OSError.
    """
    # Not at the top: few commands exchange anything, and loading the library takes time.
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        if number in _NOT_SUPPORTED:
            return False
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    for directory in {one.parent, other.parent}:
        files.sync_directory(directory)
    return True
