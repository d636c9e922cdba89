"""The paths of programs and shared objects: of their copies, and what is at a path on disk.

The paths come from a core, and are untrusted: nothing but regular files is opened.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from astbtd.elf import headers
from astbtd.lib import files
from astbtd.lib.files import open_regular

_MAX_OBJECT_BYTES = 1 << 30
_NOT_FILES = ("/dev/", "/memfd:", "/proc/")


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


def describe_unread(missing: Sequence[str], omitted: int) -> Iterator[str]:
    """Yield a note about the number of objects that were not looked at, then one for each that gdb could not read."""
    if omitted:
        yield f"the core names {omitted} more files than are looked at"
    yield from (f"gdb could not read {path}" for path in missing)


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
            return headers.build_id(headers.file_reader(descriptor)) if may_be_program(descriptor) else None
    except OSError:
        return None


def file_starts_with(path: str, start: bytes) -> bool:
    """Return whether the file at a path starts with these bytes."""
    try:
        with _open_regular(path) as descriptor:
            return may_be_program(descriptor) and os.pread(descriptor, len(start), 0) == start
    except OSError:
        return False


def may_be_program(descriptor: int) -> bool:
    """Return whether an open file is a regular one of a size that is not absurd for a program."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_OBJECT_BYTES


@contextmanager
def _open_regular(path: str) -> Iterator[int]:
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
