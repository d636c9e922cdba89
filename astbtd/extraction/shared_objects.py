"""Make sure that gdb can read the program and its shared objects: otherwise it prints wrong frames without an error.

The paths in a core are untrusted, as the crashed process chose them: only ELF programs and shared objects are copied.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from astbtd.elf import headers
from astbtd.errors import AstbtdError, NoRoom
from astbtd.extraction.object_paths import (
    build_id_on_disk,
    copy_path,
    is_named_like_object,
    make_parents,
    may_be_program,
)
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files, sparse
from astbtd.lib.path_walk import open_exchangeable, opened_regular_file

_MAX_COPIED_BYTES = 1 << 30  # of all objects of one process; a debug build of Asterisk has about 300 MB
_MAX_ENTRIES = 20_000  # of a directory, among which other names of objects are looked for
_VERSION = re.compile(r"(.+\.so(?:\.\d+)*)\.\d+")  # the name of a shared object, and the end of its version


@dataclass(frozen=True)
class SharedObjects:
    """What gdb needs besides the core, by path.

    `copied` objects were copied below the directory of copies, under their own full paths; `missing` ones could not be
    read or copied, or do not exist; `kept` ones were written from the copies that astbtd keeps by build id. `changed`
    says that the executable is not the one that crashed. `tree` is the name of a directory below that of the copies in
    which gdb looks for all files, None if it opens them itself.
    """

    copied: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    changed: bool = False
    tree: str | None = None


class ObjectSource(Protocol):
    """Where objects are kept by build id."""

    def has(self, build_id: str | None) -> bool:
        """Return whether an object is kept."""

    def write_out(self, build_id: str, target: int) -> None:
        """Write an object to the new file open at `target`. Raise AstbtdError, OSError."""


class _NoObjects:
    def has(self, _: str | None) -> bool:
        return False

    def write_out(self, build_id: str, _: int) -> None:
        raise AstbtdError(f"no object {build_id} is kept")


NO_OBJECTS: ObjectSource = _NoObjects()


class _CopyResult(Enum):
    COPIED = auto()
    MISSING = auto()
    NOT_AN_OBJECT = auto()


@dataclass(frozen=True)
class ObjectCopier:
    """Gives gdb the objects that `user` cannot read, or that others could exchange, in the directory `copies`.

    An object is opened once, and the inode that was opened is what gdb gets: as a hard link, or else as a copy, one for
    each inode, of at most `_MAX_COPIED_BYTES` in all. `check_reserve(bytes)` can raise NoRoom, `check_interrupt` raises
    to end the work early. `root` is that of the process, empty for the host's. `always_tree`: gdb sees nothing else.
    """

    user: SandboxUser
    copies: Path
    check_reserve: Callable[[int], None]
    root: str = ""
    check_interrupt: Callable[[], None] = lambda: None
    source: ObjectSource = NO_OBJECTS
    always_tree: bool = False
    _by_inode: dict[tuple[int, int], Path] = field(default_factory=dict)
    _copied_bytes: list[int] = field(default_factory=list)

    def prepare(
        self,
        executable: str | None,
        build_id: str | None,
        mapped: Sequence[str],
        lost: Mapping[str, str] = MappingProxyType({}),
    ) -> SharedObjects:
        """Copy what `user` cannot read of the executable and the mapped files; paths are those in the process.

        `lost` are the build ids, by path, of files that are no longer on disk: they are written from `source`.
        """
        paths = [path for path in dict.fromkeys((executable or "", *mapped)) if path.startswith("/")]
        lost = {path: wanted for path, wanted in lost.items() if path.startswith("/") and self.source.has(wanted)}
        safe, needs_tree = self._paths_that_nobody_exchanges(path for path in paths if path not in lost)
        tree = files.random_name() if needs_tree or lost or self.always_tree else None
        directory = self.copies / tree if tree else self.copies
        if tree:
            files.make_directory(directory, group=self.user.gid if self.user.switched else -1)
        kept = [path for path, wanted in lost.items() if self._write_kept(directory, path, wanted)]
        copied, missing = self._copy_or_link(directory, [path for path in paths if path not in lost], safe, tree)
        if tree:
            self._add_other_names(directory, [*paths, *kept])
        for path in kept:
            _add_shorter_versions(directory, path)
        is_changed = executable not in kept and self._was_replaced(executable, build_id)
        missing += sorted(lost.keys() - set(kept))
        return SharedObjects(tuple(copied), tuple(missing), tuple(kept), is_changed, tree)

    def _copy_or_link(
        self, directory: Path, paths: Sequence[str], safe: Mapping[str, str], tree: str | None
    ) -> tuple[list[str], list[str]]:
        """Copy these files, or, in a `tree`, link to those that are `safe`. Return the copied and the missing ones."""
        copied, missing = [], []
        for path in paths:
            self.check_interrupt()
            if self.user.can_read(self.root + path) and (tree is None or path in safe):
                if tree:
                    self._link(directory, path, safe[path])
                continue
            result = self._copy(directory, path)
            if result is _CopyResult.COPIED:
                copied.append(path)
            elif result is _CopyResult.MISSING:
                missing.append(path)
        return copied, missing

    def _write_kept(self, directory: Path, path: str, build_id: str) -> bool:
        """Write an object from `source`, under its full path. Return False if that fails."""
        self.check_interrupt()
        target = Path(copy_path(str(directory), path))
        try:
            make_parents(target, self.user.gid, self.copies)
            descriptor = files.create(target, files.GROUP_READS, self.user.gid)
            try:
                self.source.write_out(build_id, descriptor)
                self._count_copied(sparse.allocated_bytes(descriptor))
            finally:
                os.close(descriptor)
        except (OSError, AstbtdError):
            with suppress(OSError):
                target.unlink()
            return False
        return True

    def _paths_that_nobody_exchanges(self, paths: Iterable[str]) -> tuple[dict[str, str], bool]:
        """Return the real paths, by path, of the files that only root can exchange, and whether there are others.

        If gdb and the process that prepares it are the same user's, nobody can exchange any.
        """
        safe, needs_tree = {}, False
        for path in paths:
            with suppress(OSError):
                handle, is_exchangeable = open_exchangeable(path, self.root or "/")
                is_exchangeable &= self.user.switched
                try:
                    mode = os.fstat(handle).st_mode
                    if stat.S_ISREG(mode) and not is_exchangeable:
                        safe[path] = os.readlink(f"/proc/self/fd/{handle}")
                finally:
                    os.close(handle)
                # gdb would wait for a writer of a FIFO
                needs_tree |= is_exchangeable or (self.user.switched and stat.S_ISFIFO(mode))
        return safe, needs_tree

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
            with opened_regular_file(path, self.root or "/") as (source, _):
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
            self._count_copied(sparse.allocated_bytes(source))
            os.close(sparse.make_readable_copy(source, target, self.user.gid, self.check_reserve, self.check_interrupt))
        self._by_inode[inode] = target

    def _count_copied(self, size: int) -> None:
        """Count a copy of `size` bytes. Raise NoRoom if all copies together would be too large."""
        if sum(self._copied_bytes) + size > _MAX_COPIED_BYTES:
            raise NoRoom(f"the objects of one process are larger than {_MAX_COPIED_BYTES} bytes")
        self._copied_bytes.append(size)

    def _link_inode(self, source: int, status: os.stat_result, target: Path) -> bool:
        """Make a hard link to the open file if gdb's user may read it; return False if that is impossible."""
        if not self.user.may_read(status):
            return False
        try:
            os.link(f"/proc/self/fd/{source}", target, follow_symlinks=True)
        except OSError:  # another file system, or another mount of the same
            return False
        return True


def _add_shorter_versions(directory: Path, path: str) -> None:
    """Link libx.so.1.2 and libx.so.1 to libx.so.1.2.3: on disk, these names may lead to another build by now."""
    target, name = os.path.basename(path), os.path.basename(path)
    while match := _VERSION.fullmatch(name):
        name = match[1]
        with suppress(OSError):
            os.symlink(target, copy_path(str(directory), f"{os.path.dirname(path)}/{name}"))


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


def _is_program(descriptor: int) -> bool:
    if not may_be_program(descriptor):
        return False
    try:
        kind = headers.read_file_header(headers.file_reader(descriptor)).type
    except headers.NotElf:
        return False
    return kind in (headers.FileType.EXECUTABLE, headers.FileType.SHARED)
