"""Add and remove names of files, in directories that other programs write to at the same time."""

import errno
import os
import stat
from contextlib import suppress

from astbtd.elf.core_notes import file_identity
from astbtd.errors import AstbtdError
from astbtd.lib import files, mounts

ASIDE_SUFFIX = ".aside"
"""The suffix of a name that is about to be removed."""

_LINK_REFUSED = (
    errno.EIO,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,  # from a FUSE file system without links
)


_TRY_AGAIN = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT)


class LinkRefused(Exception):
    """A file cannot be given another name in its directory, or has lost its last name."""


class Vanished(AstbtdError):
    """The core was removed or replaced before it was claimed."""


class OpenedDirectory:
    """A directory that is held open, so that all operations happen in it even if its path changes meanwhile."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._descriptor = open_directory(self._path, os.O_RDONLY)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def open_directory(path: str, flags: int) -> int:
    """Open a directory by its real path. Raises FileNotFoundError if somebody has replaced a part of it by a link.

    Links within a remote file system cannot be checked, since its real paths are only known to the server.
    """
    descriptor = os.open(path, flags | os.O_DIRECTORY | os.O_CLOEXEC)
    real = os.readlink(f"/proc/self/fd/{descriptor}")
    if real != os.path.normpath(path) and mounts.inotify_works_on(mounts.file_system_type(path)):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "its directory is gone, a link leads to another")
    return descriptor


def link_core(descriptor: int, path: str, directory: str, link: str, group: int) -> None:
    """Link the open core into its directory, durably, whatever its name leads to by now, and give it to `group`.

    Raises LinkRefused; OSError if it should be retried later; Vanished if the directory is gone or the core was given
    another name meanwhile.
    """
    try:
        with OpenedDirectory(directory) as opened:
            link_descriptor(descriptor, opened, link)
            _protect_link(descriptor, path, opened, link, group)
    except OSError as error:
        if error.errno in _LINK_REFUSED or not os.fstat(descriptor).st_nlink:
            raise LinkRefused from error
        if error.errno in _TRY_AGAIN:
            raise
        raise Vanished(f"{path} is gone: {error.strerror}") from error


def _protect_link(descriptor: int, path: str, directory: int, link: str, group: int) -> None:
    try:
        if os.fstat(descriptor).st_nlink > 2:  # the name it was found under, and our link
            raise Vanished(f"{path} was given another name while it was claimed")
        give_to_group(descriptor, group, directory)
        os.fsync(directory)
    except BaseException:
        os.unlink(link, dir_fd=directory)
        raise


def link_descriptor(descriptor: int, directory: int, name: str) -> None:
    """Link /proc/self/fd/N, as linkat(2) describes it. Replace a name that was left by a released claim."""
    source = f"/proc/self/fd/{descriptor}"
    try:
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)


def find_directory(descriptor: int, directory: str, link: str) -> str:
    """Return the directory in which `link` is a name of the open file: `directory`, or what that was renamed to.

    The kernel follows a renamed directory in the path that it shows for a descriptor. Return `directory` if the link is
    in neither.
    """
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    for candidate in (directory, os.path.dirname(path)):
        with suppress(OSError):
            if os.path.samestat(os.lstat(os.path.join(candidate, link)), os.fstat(descriptor)):
                return candidate
    return directory


def remove_link(directory: str, link: str, name: str | None, inode: int) -> None:
    """Remove the link of a claim, and the `name` of the core if it is given and still is the file `inode`."""
    with suppress(FileNotFoundError), OpenedDirectory(directory) as opened:
        if name is not None:
            _remove_if_same(opened, name, link + ASIDE_SUFFIX, inode)
        with suppress(FileNotFoundError):
            os.unlink(link, dir_fd=opened)
        os.fsync(opened)


def remove_claimed_file(directory: str, link: str, name: str, file: str) -> None:
    """Remove a claimed core by its `name`, if it still is the file with this identity (core_notes.file_identity).

    The file is held open while it is removed: the inode of a removed file may be reused for the next core.
    """
    with suppress(FileNotFoundError), OpenedDirectory(directory) as opened:
        for candidate in (name, link + ASIDE_SUFFIX):
            with suppress(FileNotFoundError):
                held = os.open(candidate, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
                try:
                    if file_identity(os.fstat(held)) == file:
                        remove_link(directory, link, name, os.fstat(held).st_ino)
                finally:
                    os.close(held)


def _remove_if_same(directory: int, name: str, aside: str, inode: int) -> None:
    """Remove `name` if it still is the file `inode`.

    The file is renamed first and compared then: between a comparison and a removal, Asterisk might put a new core
    there.
    """
    with suppress(FileNotFoundError):
        if _inode(directory, aside) == inode:  # an earlier attempt was killed after it had renamed the file
            os.unlink(aside, dir_fd=directory)
    with suppress(FileNotFoundError):
        if _inode(directory, name) != inode:
            return
        os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
        if _inode(directory, aside) != inode:
            os.link(aside, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.unlink(aside, dir_fd=directory)


def _inode(directory: int, name: str) -> int:
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino


def give_to_group(descriptor: int, group: int, directory: int | None = None) -> None:
    """Give a core to root and to `group`, without permission to read it yet. Do nothing if `group` is -1.

    In a sticky directory the owner stays: Asterisk could not replace a file named `core` that belongs to root.
    """
    if group == -1:
        return
    is_sticky = directory is not None and os.fstat(directory).st_mode & stat.S_ISVTX
    os.fchown(descriptor, -1 if is_sticky else 0, group)
    os.fchmod(descriptor, files.OWNER_READS)
