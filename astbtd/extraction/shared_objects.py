"""Make sure that gdb can read the program and its shared objects: otherwise it prints wrong frames without an error.

The paths in a core are untrusted, as the crashed process chose them: only ELF programs and shared objects are copied.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from pathlib import Path

from astbtd.elf import headers
from astbtd.errors import NoRoom
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files, sparse
from astbtd.lib.files import open_regular
from astbtd.lib.path_walk import open_exchangeable

_MAX_OBJECT_BYTES = 1 << 30
_MAX_COPIED_BYTES = 1 << 30  # of all objects of one process; a debug build of Asterisk has about 300 MB
_MAX_ENTRIES = 20_000  # of a directory, among which other names of objects are looked for
_NOT_FILES = ("/dev/", "/memfd:", "/proc/")


@dataclass(frozen=True)
class SharedObjects:
    """What gdb needs besides the core, by path.

    `copied` objects were copied below the directory of copies, under their own full paths; `missing` ones could not be
    read or copied, or do not exist; `changed` says that the executable on disk is not the one that crashed. `tree` is
    the name of a directory below that of the copies in which gdb looks for all files, None if it opens them itself.
    """

    copied: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    changed: bool = False
    tree: str | None = None


class _CopyResult(Enum):
    COPIED = auto()
    MISSING = auto()
    NOT_AN_OBJECT = auto()


@dataclass(frozen=True)
class ObjectCopier:
    """Gives gdb the objects that `user` cannot read, or that others could exchange, in the directory `copies`.

    An object is opened once, and the inode that was opened is what gdb gets: as a hard link, or else as a copy, one for
    each inode, of at most `_MAX_COPIED_BYTES` in all. `check_reserve(bytes)` can raise NoRoom, `check_interrupt` raises
    to end the work early. `root` is the root directory of the process, empty for that of the host.
    """

    user: SandboxUser
    copies: Path
    check_reserve: Callable[[int], None]
    root: str = ""
    check_interrupt: Callable[[], None] = lambda: None
    _by_inode: dict[tuple[int, int], Path] = field(default_factory=dict)
    _copied_bytes: list[int] = field(default_factory=list)

    def prepare(self, executable: str | None, build_id: str | None, mapped: Sequence[str]) -> SharedObjects:
        """Copy what `user` cannot read of the executable and the mapped files; paths are those in the process."""
        paths = [path for path in dict.fromkeys((executable or "", *mapped)) if path.startswith("/")]
        safe = self._paths_that_nobody_exchanges(paths)
        tree = None if safe is None else secrets.token_hex(8)
        directory = self.copies / tree if tree else self.copies
        if tree:
            files.make_directory(directory, group=self.user.gid if self.user.switched else -1)
        copied, missing = [], []
        for path in paths:
            self.check_interrupt()
            if self.user.can_read(self.root + path) and (safe is None or path in safe):
                if safe is not None:
                    self._link(directory, path, safe[path])
                continue
            result = self._copy(directory, path)
            if result is _CopyResult.COPIED:
                copied.append(path)
            elif result is _CopyResult.MISSING:
                missing.append(path)
        if tree:
            self._add_other_names(directory, paths)
        return SharedObjects(tuple(copied), tuple(missing), self._was_replaced(executable, build_id), tree)

    def _paths_that_nobody_exchanges(self, paths: Sequence[str]) -> dict[str, str] | None:
        """Return the real paths, by path, of the files that only root can exchange; None if nobody can exchange any."""
        if not self.user.switched:  # gdb and the process that prepares it are the same user's
            return None
        safe, needs_tree = {}, False
        for path in paths:
            with suppress(OSError):
                handle, is_exchangeable = open_exchangeable(path, self.root or "/")
                try:
                    mode = os.fstat(handle).st_mode
                    if stat.S_ISREG(mode) and not is_exchangeable:
                        safe[path] = os.readlink(f"/proc/self/fd/{handle}")
                finally:
                    os.close(handle)
                needs_tree |= is_exchangeable or stat.S_ISFIFO(mode)  # gdb would wait for a writer of a FIFO
        return safe if needs_tree else None

    def _link(self, directory: Path, path: str, target: str) -> None:
        """Link the file of `path` in a directory of ours to a path that only root can exchange."""
        link = Path(copy_path(str(directory), path))
        with suppress(OSError):
            make_parents(link, self.user.gid, self.copies)
            os.symlink(target, link)

    def _add_other_names(self, directory: Path, paths: Sequence[str]) -> None:
        """Add the symbolic links through which a process names its objects, as far as they lead to one of them."""
        for name, target in _top_links(self.root):
            with suppress(OSError):
                os.symlink(target, directory / name)
        for parent in {os.path.dirname(path) for path in paths}:
            for name, target in _file_links(self.root + parent):
                if f"{parent}/{target}" in paths:
                    with suppress(OSError):
                        os.symlink(target, copy_path(str(directory), f"{parent}/{name}"))

    def _was_replaced(self, executable: str | None, build_id: str | None) -> bool:
        if not executable or not build_id:
            return False
        return build_id_on_disk(self.root + executable) not in (None, build_id)

    def _copy(self, directory: Path, path: str) -> _CopyResult:
        try:
            with _open_below(path, self.root) as source:
                if not _is_program(source):
                    return _CopyResult.NOT_AN_OBJECT
                target = Path(copy_path(str(directory), path))
                make_parents(target, self.user.gid, self.copies)
                self._give(source, target)
                return _CopyResult.COPIED
        except (OSError, NoRoom):
            is_object = is_named_like_object(self.root + path)
            return _CopyResult.MISSING if is_object else _CopyResult.NOT_AN_OBJECT

    def _give(self, source: int, target: Path) -> None:
        """Make an open object available at `target`. Raise OSError, NoRoom if it would exceed the limit."""
        status = os.fstat(source)
        inode = status.st_dev, status.st_ino
        if inode in self._by_inode:
            os.link(self._by_inode[inode], target)
            return
        if not self._link_inode(source, status, target):
            size = sparse.allocated_bytes(source)
            if sum(self._copied_bytes) + size > _MAX_COPIED_BYTES:
                raise NoRoom(f"the objects of one process are larger than {_MAX_COPIED_BYTES} bytes")
            os.close(sparse.make_readable_copy(source, target, self.user.gid, self.check_reserve, self.check_interrupt))
            self._copied_bytes.append(size)
        self._by_inode[inode] = target

    def _link_inode(self, source: int, status: os.stat_result, target: Path) -> bool:
        """Make a hard link to the open file if gdb's user may read it; return False if that is impossible."""
        if not self.user.may_read(status):
            return False
        try:
            os.link(f"/proc/self/fd/{source}", target, follow_symlinks=True)
        except OSError:  # another file system, or another mount of the same
            return False
        return True


def _top_links(root: str) -> list[tuple[str, str]]:
    """Return the relative symbolic links in the root directory, such as lib -> usr/lib, with their targets."""
    return [(name, target) for name, target in _links(root or "/") if not target.startswith("/") and ".." not in target]


def _file_links(directory: str) -> list[tuple[str, str]]:
    """Return the symbolic links in a directory that lead to another name in it, with that name."""
    return [(name, target) for name, target in _links(directory) if "/" not in target]


def _links(directory: str) -> Iterator[tuple[str, str]]:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in islice(entries, _MAX_ENTRIES):
            if entry.is_symlink():
                with suppress(OSError):
                    yield entry.name, os.readlink(entry.path)


def exists_only_in_root(root: str, executable: str | None, build_id: str | None) -> bool:
    """Return whether the executable with that build id exists below `root`, but not on the host itself."""
    if executable is None or build_id is None or build_id_on_disk(executable) == build_id:
        return False
    return build_id_on_disk(root + executable) == build_id


def copy_path(copies: str, path: str) -> str:
    """Return the path of the copy of `path` below `copies`."""
    return os.path.join(copies, os.path.normpath(path).lstrip("/"))


def make_parents(target: Path, group: int, top: Path) -> None:
    """Create the missing directories from `top` down to the parent of `target`, readable by `group`.

    Raise OSError, also if one of them is a symbolic link.
    """
    for directory in reversed(target.parents):
        if directory == top or top in directory.parents:
            files.make_directory(directory, group=group)


def is_fifo(path: str) -> bool:
    """Return whether a FIFO is at the path of a mapped file, although a FIFO cannot be mapped."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_named_like_object(path: str) -> bool:
    """Return whether a missing file was probably a program or shared object, by its name.

    Devices, anonymous memory and data files do not matter for frames.
    """
    if path.startswith(_NOT_FILES):
        return False
    directory, name = os.path.split(path)
    return ".so" in name or os.path.basename(directory) in ("bin", "sbin")


def build_id_on_disk(path: str) -> str | None:
    """Return the build id of the program or shared object at a path; None if there is none."""
    try:
        with _open_regular(path) as descriptor:
            return headers.build_id(headers.file_reader(descriptor)) if _may_be_program(descriptor) else None
    except OSError:
        return None


def file_starts_with(path: str, start: bytes) -> bool:
    """Return whether the file at a path starts with these bytes."""
    try:
        with _open_regular(path) as descriptor:
            return _may_be_program(descriptor) and os.pread(descriptor, len(start), 0) == start
    except OSError:
        return False


def _may_be_program(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_OBJECT_BYTES


def _is_program(descriptor: int) -> bool:
    if not _may_be_program(descriptor):
        return False
    try:
        kind = headers.read_header(headers.file_reader(descriptor)).type
    except headers.NotElf:
        return False
    return kind in (headers.FileType.EXECUTABLE, headers.FileType.SHARED)


@contextmanager
def _open_below(path: str, root: str) -> Iterator[int]:
    """Open a regular file below `root`. What is checked is what is opened, whatever others do to its path."""
    handle, _ = open_exchangeable(path, root or "/")
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        descriptor = files.reopen(handle)
    finally:
        os.close(handle)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _open_regular(path: str) -> Iterator[int]:
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
