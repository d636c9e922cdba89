"""Writes files so that a power cut or a kill leaves the old content or the new, never half of either.

The only place that makes files in the store. All paths are inside private directories of ours.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astbtd.errors import AstbtdError, NoRoom

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
PRIVATE_FILE_MODE = 0o600
GROUP_READS = 0o440
OWNER_READS = 0o400
PRIVATE_DIRECTORY_MODE = 0o700

UNFINISHED = ".*.new"
"""The pattern of what `unfinished` names."""

_LONGEST_LINE = 4096

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def said_plainly(what: str) -> Iterator[None]:
    """Turns an OSError inside into an AstbtdError that says what could not be done, and what helps."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise NoRoom(f"{what}: {reason}", "free some space; the work resumes by itself") from error
        remedy = "use sudo" if isinstance(error, PermissionError) and os.geteuid() != 0 else ""
        raise AstbtdError(f"{what}: {reason}", remedy) from error


def create(path: Path, mode: int = FILE_MODE, group: int = -1) -> int:
    """A descriptor, open for writing, of a new file that did not exist; raises FileExistsError if it did."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        _settle(descriptor, mode, group)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
        raise
    return descriptor


def write_new(path: Path, data: bytes, mode: int = FILE_MODE, group: int = -1) -> None:
    """Writes a new file and syncs it; its directory is for the caller to sync."""
    descriptor = create(path, mode, group)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int = FILE_MODE, group: int = -1) -> None:
    """Puts `data` in the place of `path` in one step and syncs both file and directory."""
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    try:
        write_new(temporary, data, mode, group)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def unfinished(path: Path) -> Path:
    """The name under which a file is written until it is complete."""
    return path.with_name(f".{path.name}.new")


def append_line(path: Path, line: str) -> None:
    """Adds one line to the end of a private file and syncs it; a last line that was never completed goes first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)
    try:
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LONGEST_LINE)
        last_line = os.pread(descriptor, size - start, start).rpartition(b"\n")[2]
        if last_line:
            os.ftruncate(descriptor, size - len(last_line))
        write_all(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def point(link: Path, target: str) -> None:
    """Makes the symbolic link `link` lead to `target`, replacing the old one in one step."""
    temporary = unfinished(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    sync_directory(link.parent)


def make_directory(path: Path, mode: int = DIRECTORY_MODE, group: int = -1) -> None:
    """Makes a directory with exactly this mode and group; one that exists is brought to them."""
    path.mkdir(mode=mode, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _settle(descriptor, mode, group)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Syncs every file of a directory without subdirectories, then the directory itself."""
    for entry in os.scandir(directory):
        _sync(entry.path, os.O_NOFOLLOW)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Makes the names in `directory` durable."""
    _sync(directory, os.O_DIRECTORY)


def publish(staged: Path, place: Path) -> Path:
    """Moves a directory to its place in one step, durably, and returns that."""
    os.rename(staged, place)
    sync_directory(place.parent)
    sync_directory(staged.parent)
    return place


def remove_tree(directory: Path) -> None:
    """Removes a directory of ours and all in it; one that is not there is no error."""
    import shutil  # brings several modules that no reading command needs

    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def remove(path: Path) -> None:
    """Removes whatever of ours has this name, a directory with all in it; that there is nothing is no error."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock file `path`, which is made if need be, against other processes and threads.

    Raises BlockingIOError if it is held already and we do not wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, however many calls it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(path: Path | str, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settle(descriptor: int, mode: int, group: int) -> None:
    if group != -1:
        os.fchown(descriptor, -1, group)
    os.fchmod(descriptor, mode)
