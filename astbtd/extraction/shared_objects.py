"""Make sure that gdb can read the program and its shared objects: otherwise it prints wrong frames without an error.

The paths in a core are untrusted, as the crashed process chose them: only ELF programs and shared objects are copied.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from astbtd.elf import headers
from astbtd.errors import NoRoom
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import files, sparse
from astbtd.lib.files import open_regular

_MAX_OBJECT_BYTES = 1 << 30
_NOT_FILES = ("/dev/", "/memfd:", "/proc/")


@dataclass(frozen=True)
class SharedObjects:
    """What gdb needs besides the core, by path.

    `copied` objects were copied below the directory of copies, under their own full paths; `missing` ones could not be
    read or copied, or do not exist; `changed` says that the executable on disk is not the one that crashed.
    """

    copied: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    changed: bool = False


class _CopyResult(Enum):
    COPIED = auto()
    MISSING = auto()
    NOT_AN_OBJECT = auto()


@dataclass(frozen=True)
class ObjectCopier:
    """Copies objects that `user` cannot read into the directory `copies`. `check_reserve(bytes)` can raise NoRoom.

    `root` is the root directory of the process, empty for that of the host.
    """

    user: SandboxUser
    copies: Path
    check_reserve: Callable[[int], None]
    root: str = ""

    def prepare(self, executable: str | None, build_id: str | None, mapped: Sequence[str]) -> SharedObjects:
        """Copy what `user` cannot read of the executable and the mapped files; paths are those in the process."""
        copied, missing = [], []
        for path in dict.fromkeys((executable or "", *mapped)):
            result = self._copy(path) if self._is_unreadable(path) else None
            if result is _CopyResult.COPIED:
                copied.append(path)
            elif result is _CopyResult.MISSING:
                missing.append(path)
        return SharedObjects(tuple(copied), tuple(missing), self._was_replaced(executable, build_id))

    def _is_unreadable(self, path: str) -> bool:
        return path.startswith("/") and not self.user.can_read(self.root + path)

    def _was_replaced(self, executable: str | None, build_id: str | None) -> bool:
        if not executable or not build_id:
            return False
        return build_id_on_disk(self.root + executable) not in (None, build_id)

    def _copy(self, path: str) -> _CopyResult:
        source_path = self.root + path
        try:
            with _open_regular(source_path) as source:
                if not _is_program(source):
                    return _CopyResult.NOT_AN_OBJECT
                target = Path(copy_path(str(self.copies), path))
                make_parents(target, self.user.gid, self.copies)
                os.close(sparse.make_readable_copy(source, target, self.user.gid, self.check_reserve))
                return _CopyResult.COPIED
        except (OSError, NoRoom):
            return _CopyResult.MISSING if is_named_like_object(source_path) else _CopyResult.NOT_AN_OBJECT


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
def _open_regular(path: str) -> Iterator[int]:
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
