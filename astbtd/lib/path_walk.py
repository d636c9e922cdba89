"""Open a path component by component, on descriptors, and find out who could exchange a part of it.

Another user who may write to one directory of a path can exchange what follows it at any time: with a symbolic link,
a FIFO, or another file. A walk sees each component once, and what it returns is what it saw.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files

_MAX_LINKS = 40  # as the kernel allows
_NEW_DIRECTORY_MODE = 0o755
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_TRUSTED_USERS = (0,)


def open_exchangeable(path: str, root: str = "/") -> tuple[int, bool]:
    """Open what an absolute path leads to below `root` with O_PATH; follow all links, but never out of `root`.

    Return the descriptor, and whether anybody but root can exchange a part of the path. Raise OSError.
    """
    with _Walk(root, lambda _: True, create=False) as walk:
        return walk.to(path), walk.is_exchangeable


@contextmanager
def opened_regular_file(path: str, root: str = "/") -> Iterator[tuple[int, bool]]:
    """Yield a descriptor of a regular file below `root`, and whether anybody but root can exchange it. Raise OSError.

    What is checked is what is opened, whatever others do to its path.
    """
    handle, is_exchangeable = open_exchangeable(path, root)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        descriptor = files.reopen(handle)
    finally:
        os.close(handle)
    try:
        yield descriptor, is_exchangeable
    finally:
        os.close(descriptor)


def is_exchangeable_directory(path: str, *, fix_mode: bool = False) -> bool:
    """Return whether anybody but root can exchange a directory, or an entry of root's in it. Raise OSError.

    With `fix_mode`, the caller corrects the mode of the directory itself: only its owner counts.
    """
    handle, is_exchangeable = open_exchangeable(path)
    try:
        status = os.fstat(handle)
    finally:
        os.close(handle)
    others_write = status.st_uid != 0 if fix_mode else _others_can_exchange(status, status)
    return is_exchangeable or others_write


def refuse_exchangeable(store: Path) -> None:
    """As root, raise AstbtdError if another user could exchange the store, or a part of it, while we write to it.

    A store that does not exist yet is judged by the directory in which it would be created.
    """
    root = store.absolute()
    existing = next(path for path in (root, *root.parents) if path.exists())
    if os.geteuid() == 0 and is_exchangeable_directory(str(existing), fix_mode=existing == root):
        raise AstbtdError(
            f"cannot use the store {store}: other users can write to {existing}, or to a directory above it",
            "as root, use a store that only root can write to: chown root, chmod go-w",
        )


@contextmanager
def opened_directory(path: str | os.PathLike[str], *, create: bool = False) -> Iterator[int]:
    """Yield a descriptor of a directory that a user named. With `create`, create it and its parents where missing.

    A symbolic link is followed only if it belongs to root or to our own user. Raise OSError.
    """
    with _Walk("/", _is_ours, create=create) as walk:
        handle = walk.to(os.path.abspath(path))
    try:
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def create_file(directory: int, name: str, mode: int = files.PRIVATE_FILE_MODE) -> int:
    """Create a file in an open directory; return a descriptor. Raise OSError, FileExistsError if the name is used."""
    descriptor = os.open(
        name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=directory
    )
    os.fchmod(descriptor, mode)
    return descriptor


def replace_file(directory: int, name: str, data: bytes, mode: int) -> None:
    """Create a file in an open directory, or replace the one with that name, in one step. Raise OSError."""
    temporary = f".{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    descriptor = create_file(directory, temporary, mode)
    try:
        files.write_all(descriptor, data)
        os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        remove_file(directory, temporary, descriptor)
        raise
    finally:
        os.close(descriptor)
    os.fsync(directory)


def remove_file(directory: int, name: str, descriptor: int) -> None:
    """Remove the name of an open file from an open directory, unless it is another file's by now."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if os.path.samestat(status, os.fstat(descriptor)):
        os.unlink(name, dir_fd=directory)


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid in (*_TRUSTED_USERS, os.geteuid())


def _others_can_exchange(directory: os.stat_result, entry: os.stat_result) -> bool:
    """Return whether anybody but root can exchange an entry of a directory."""
    if directory.st_uid not in _TRUSTED_USERS:
        return True
    group_writes = directory.st_mode & stat.S_IWGRP and directory.st_gid != 0
    if not group_writes and not directory.st_mode & stat.S_IWOTH:
        return False
    # In a directory with the sticky bit, only the owner of an entry may rename or remove it.
    return not directory.st_mode & stat.S_ISVTX or entry.st_uid not in _TRUSTED_USERS


class _Walk:
    """A walk below `root`. `follow` decides about each symbolic link by its status."""

    def __init__(self, root: str, follow: Callable[[os.stat_result], bool], *, create: bool) -> None:
        self.is_exchangeable = False
        self._follow = follow
        self._create = create
        self._links_left = _MAX_LINKS
        self._directories = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]

    def __enter__(self) -> "_Walk":
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)

    def to(self, path: str) -> int:
        """Return an O_PATH descriptor of what the path leads to."""
        pending = _components(path)
        while pending:
            name = pending.pop()
            if name == "..":
                self._leave(max(1, len(self._directories) - 1))
                continue
            entry = self._open(name)
            status = os.fstat(entry)
            self.is_exchangeable |= _others_can_exchange(os.fstat(self._directories[-1]), status)
            if stat.S_ISLNK(status.st_mode):
                pending += self._read_link(entry, status, name)
            elif pending:
                self._directories.append(entry)
            else:
                return entry
        return os.dup(self._directories[-1])

    def _open(self, name: str) -> int:
        parent = self._directories[-1]
        try:
            return os.open(name, _HANDLE, dir_fd=parent)
        except FileNotFoundError:
            if not self._create:
                raise
        os.mkdir(name, _NEW_DIRECTORY_MODE, dir_fd=parent)
        return os.open(name, _HANDLE, dir_fd=parent)

    def _read_link(self, entry: int, status: os.stat_result, name: str) -> list[str]:
        """Return the components of a link's target; an absolute one starts at `root` again. Closes `entry`."""
        try:
            self._links_left -= 1
            if self._links_left < 0 or not self._follow(status):
                raise OSError(errno.ELOOP, f"{name} is a symbolic link that another user owns")
            target = os.readlink("", dir_fd=entry)
        finally:
            os.close(entry)
        if target.startswith("/"):
            self._leave(1)
        return _components(target)

    def _leave(self, depth: int) -> None:
        """Close directories until only `depth` are left."""
        while len(self._directories) > depth:
            os.close(self._directories.pop())


def _components(path: str) -> list[str]:
    """Return the names in a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
