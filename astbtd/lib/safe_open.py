"""Opens regular files and nothing else, whatever somebody else has put where one is expected."""

import errno
import os
import stat
from pathlib import Path


def open_regular(path: str | Path, *, follow: bool = True) -> int:
    """A descriptor to read the regular file at `path`. Raises OSError, also for what is no regular file.

    Without `follow`, a link is none. Looked at before it is opened: some devices act when they are.
    """
    seen = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return reopened(seen)
    finally:
        os.close(seen)


def reopened(seen: int) -> int:
    """A descriptor to read what `seen` only names (O_PATH). Raises OSError.

    Where its owner holds a lease on it, to open it would be to wait until that is broken (fcntl(2)): it fails instead.
    """
    return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
