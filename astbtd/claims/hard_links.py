"""Gives names to files and takes them away, in directories that others write to while we work."""

import errno
import os
import stat
from contextlib import suppress

from astbtd.elf.core_notes import file_identity
from astbtd.lib import files, mounts

ASIDE_SUFFIX = ".aside"
"""Of a name on its way out."""

NO_LINK_HERE = (
    errno.EIO,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,  # a program behind FUSE that knows no links
)
"""Why a directory has no place for a second name of a file that is there."""


class OpenedDirectory:
    """A directory held open, so that what is done in it is done there however paths change meanwhile."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._descriptor = open_directory(self._path, os.O_RDONLY)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def open_directory(path: str, flags: int) -> int:
    """A descriptor of the directory whose real path this is. Raises FileNotFoundError where a link was put on the way.

    Links within a file system that others serve are theirs: nobody could know its real paths.
    """
    descriptor = os.open(path, flags | os.O_DIRECTORY | os.O_CLOEXEC)
    real = os.readlink(f"/proc/self/fd/{descriptor}")
    if real != os.path.normpath(path) and mounts.inotify_sees(mounts.type_of(path)):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "its directory is gone, a link leads to another")
    return descriptor


def link_descriptor(descriptor: int, directory: int, name: str) -> None:
    """linkat(2) of /proc/self/fd/N; a name left over from a claim that was given up is replaced."""
    source = f"/proc/self/fd/{descriptor}"
    try:
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)


def remove_if_ours(directory: int, name: str, aside: str, inode: int) -> None:
    """Removes `name` if it still is `inode`; moved aside first, since Asterisk may put a new core there any moment."""
    with suppress(FileNotFoundError):
        if _inode(directory, aside) == inode:  # an earlier attempt was killed here
            os.unlink(aside, dir_fd=directory)
    with suppress(FileNotFoundError):
        if _inode(directory, name) != inode:
            return
        os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
        if _inode(directory, aside) != inode:
            os.link(aside, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.unlink(aside, dir_fd=directory)


def drop_claim(directory: str, link: str, name: str | None, inode: int) -> None:
    """Removes a claim's link, and, where it is given, the `name` that the core had, if it still is `inode`."""
    with suppress(FileNotFoundError), OpenedDirectory(directory) as opened:
        if name is not None:
            remove_if_ours(opened, name, link + ASIDE_SUFFIX, inode)
        with suppress(FileNotFoundError):
            os.unlink(link, dir_fd=opened)
        os.fsync(opened)


def drop_file(directory: str, link: str, name: str, file: str) -> None:
    """Removes a `name` that a claim's core had, if it still is the file with this identity (corefile.file_identity).

    It is held open meanwhile: the inode of a file that is gone may be that of the next core.
    """
    with suppress(FileNotFoundError), OpenedDirectory(directory) as opened:
        for at in (name, link + ASIDE_SUFFIX):
            with suppress(FileNotFoundError):
                held = os.open(at, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
                try:
                    if file_identity(os.fstat(held)) == file:
                        drop_claim(directory, link, name, os.fstat(held).st_ino)
                finally:
                    os.close(held)


def _inode(directory: int, name: str) -> int:
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino


def give_to_group(descriptor: int, group: int, directory: int | None = None) -> None:
    """Makes a core root's and a file of `group`, which cannot read it yet; leaves all as it is where that is -1.

    In a sticky directory the owner stays: a core of ours named `core` would block Asterisk's next dump.
    """
    if group == -1:
        return
    sticky = directory is not None and os.fstat(directory).st_mode & stat.S_ISVTX
    os.fchown(descriptor, -1 if sticky else 0, group)
    os.fchmod(descriptor, files.OWNER_READS)
