"""Write files so that after a power cut or a kill either the old or the new content is there, never half of either.

This is the only module that creates files in the store; all paths to write are inside our own private directories.
`open_regular` reads files that belong to others.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TextIO

from astbtd.errors import AstbtdError, NoRoom

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
PRIVATE_FILE_MODE = 0o600
GROUP_READS = 0o440
OWNER_READS = 0o400
EVERYBODY_READS = 0o644
PRIVATE_DIRECTORY_MODE = 0o700

PRIVATE_DIRECTORY_PREFIX = "astbtd-"
"""How the names of the directories of `private_directory` begin."""

TEMPORARY_PATTERN = ".*.new"
"""Glob pattern of the names that `temporary_path` returns."""

_LONGEST_LINE = 4096  # bytes
_PIECE_LENGTH = 1 << 16  # characters

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def wrap_os_error(what: str) -> Iterator[None]:
    """Convert an OSError raised inside into an AstbtdError: `what` failed, the reason, and a remedy if there is one.

    Raises NoRoom if the disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _DISK_FULL:
            raise NoRoom(f"{what}: {reason}", "free some disk space; the work resumes automatically") from error
        remedy = "use sudo" if isinstance(error, PermissionError) and os.geteuid() != 0 else ""
        raise AstbtdError(f"{what}: {reason}", remedy) from error


def create(path: Path, mode: int = FILE_MODE, group: int = -1) -> int:
    """Create a new file and return a descriptor open for writing. Raise FileExistsError if `path` exists."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        _set_mode_and_group(descriptor, mode, group)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
        raise
    return descriptor


def write_new(path: Path, data: bytes, mode: int = FILE_MODE, group: int = -1) -> None:
    """Write a new file and sync it. The caller must sync its directory. Raise FileExistsError if `path` exists."""
    descriptor = create(path, mode, group)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int = FILE_MODE, group: int = -1) -> None:
    """Atomically replace the content of `path` with `data`, and sync both file and directory."""
    temporary = temporary_path(path)
    temporary.unlink(missing_ok=True)
    try:
        write_new(temporary, data, mode, group)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def temporary_path(path: Path) -> Path:
    """Return the name under which a file is written until it is complete."""
    return path.with_name(f".{path.name}.new")


def append_line(path: Path, line: str, mode: int = PRIVATE_FILE_MODE, group: int = -1) -> None:
    """Append one line to a file and sync it. An incomplete last line, left by a kill, is removed first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)
    try:
        _set_mode_and_group(descriptor, mode, group)
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LONGEST_LINE)
        incomplete = os.pread(descriptor, size - start, start).rpartition(b"\n")[2]
        if incomplete:
            os.ftruncate(descriptor, size - len(incomplete))
        write_all(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_symlink(link: Path, target: str) -> None:
    """Atomically create the symbolic link `link` to `target`, or replace an existing one."""
    temporary = temporary_path(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    sync_directory(link.parent)


def make_directory(path: Path, mode: int = DIRECTORY_MODE, group: int = -1) -> None:
    """Create a directory with exactly this mode and group. An existing directory is changed to them."""
    path.mkdir(mode=mode, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _set_mode_and_group(descriptor, mode, group)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Sync every file of a directory that has no subdirectories, then the directory itself."""
    for entry in os.scandir(directory):
        _sync(entry.path, os.O_NOFOLLOW)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable."""
    _sync(directory, os.O_DIRECTORY)


def publish(staged: Path, place: Path) -> Path:
    """Move a directory to its final place, atomically and durably, and return that place."""
    os.rename(staged, place)
    sync_directory(place.parent)
    sync_directory(staged.parent)
    return place


def link(source: Path, target: Path) -> None:
    """Give one of our files a second name. The caller must sync its directory."""
    os.link(source, target, follow_symlinks=False)


def move(source: Path, target: Path) -> None:
    """Rename one of our files, over an existing one. The caller must sync the directories."""
    os.replace(source, target)


def remove_tree(directory: Path) -> None:
    """Remove one of our directories with its contents. A missing directory is not an error."""
    import shutil  # imports several modules that no reading command needs

    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def remove(path: Path) -> None:
    """Remove a file or directory of ours, whatever its type. A missing one is not an error."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` against other processes and threads; create the file if needed.

    Raises BlockingIOError if the lock is held already and `wait` is false.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def random_name() -> str:
    """Return a name of 16 hexadecimal digits that nobody can guess. (The module `secrets` takes 5 ms to load.)"""
    return os.urandom(8).hex()


@contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """Create a directory with a random name that only we can enter, and remove it with its contents at the end.

    It is locked while it is in use, see `is_in_use`.
    """
    directory = parent / f"{PRIVATE_DIRECTORY_PREFIX}{random_name()}"
    os.mkdir(directory, PRIVATE_DIRECTORY_MODE)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "another user exchanged the directory", str(directory))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield directory
    finally:
        remove_tree(directory)
        os.close(descriptor)


def is_in_use(directory: Path) -> bool:
    """Return whether a process uses a directory that `private_directory` made."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, in as many calls as necessary."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def open_regular(path: str | Path, *, follow: bool = True) -> int:
    """Open a regular file for reading, whatever others may have put in its place, and return the descriptor.

    The type is checked before the file is opened for reading: opening some devices has side effects, and a FIFO would
    block. Raises OSError, also if it is not a regular file. Without `follow`, a symbolic link is refused.
    """
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return reopen(handle)
    finally:
        os.close(handle)


def open_text(path: Path) -> TextIO:
    """Open a text for reading, or an empty one if the file is missing. Only a newline ends a line."""
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return StringIO()


def text_pieces(path: Path) -> Iterator[str]:
    """Yield a text in pieces of at most 64 Ki characters; nothing if the file is missing."""
    with open_text(path) as text:
        while piece := text.read(_PIECE_LENGTH):
            yield piece


def reopen(handle: int) -> int:
    """Open for reading what the O_PATH descriptor `handle` refers to, and return the new descriptor. Raises OSError.

    If another process holds a lease on the file (fcntl(2)), this fails instead of waiting until the lease is broken.
    """
    return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _sync(path: Path | str, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_mode_and_group(descriptor: int, mode: int, group: int) -> None:
    if group != -1:
        os.fchown(descriptor, -1, group)
    os.fchmod(descriptor, mode)
