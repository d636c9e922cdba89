"""Makes sure that gdb can read the program and its shared objects, since it gets frames wrong in silence where not.

What a core names is the crashed process's word: nothing but ELF programs and shared objects is ever copied.
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
from astbtd.lib.safe_open import open_regular

_LARGEST_OBJECT = 1 << 30  # bytes


@dataclass(frozen=True)
class Objects:
    """What gdb needs beside the core. `copied` were copied under their own full paths; `missing` could not be read
    or copied, or are gone; `changed` says that the executable on disk is not the one that crashed.
    """

    copied: tuple[str, ...]
    missing: tuple[str, ...]
    changed: bool


class _Outcome(Enum):
    COPIED = auto()
    MISSING = auto()
    NO_OBJECT = auto()


def prepare(
    executable: str | None,
    build_id: str | None,
    mapped: Sequence[str],
    account: SandboxUser,
    copies: Path,
    reserve: Callable[[int], None],
    root: str = "",
) -> Objects:
    """Copies what `account` cannot read of the executable and the mapped objects into the directory `copies`.

    They are read below `root`, and named without it, as the process knew them.
    """
    wanted = dict.fromkeys([*([executable] if executable else []), *mapped])
    unreadable = [path for path in wanted if path.startswith("/") and not account.can_read(root + path)]
    outcomes = {path: _copy(root + path, place(str(copies), path), copies, account, reserve) for path in unreadable}
    return Objects(
        copied=tuple(path for path, outcome in outcomes.items() if outcome is _Outcome.COPIED),
        missing=tuple(path for path, outcome in outcomes.items() if outcome is _Outcome.MISSING),
        changed=bool(executable and build_id and build_id_on_disk(root + executable) not in (None, build_id)),
    )


def is_only_below(root: str, executable: str | None, build_id: str | None) -> bool:
    """Whether the executable of that build is found below `root`, and not on this machine itself."""
    if executable is None or build_id is None or build_id_on_disk(executable) == build_id:
        return False
    return build_id_on_disk(root + executable) == build_id


def place(copies: str, path: str) -> str:
    """Where under `copies` the copy of `path` lies."""
    return os.path.join(copies, os.path.normpath(path).lstrip("/"))


def _copy(path: str, copy: str, copies: Path, account: SandboxUser, reserve: Callable[[int], None]) -> _Outcome:
    try:
        with _opened(path) as source:
            if not _is_program(source):
                return _Outcome.NO_OBJECT
            target = Path(copy)
            make_parents(target, account.gid, copies)
            os.close(sparse.readable_copy(source, target, account.gid, reserve))
            return _Outcome.COPIED
    except (OSError, NoRoom):
        return _Outcome.MISSING if named_like_an_object(path) else _Outcome.NO_OBJECT


def _may_be_program(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_OBJECT


def _is_program(descriptor: int) -> bool:
    if not _may_be_program(descriptor):
        return False
    try:
        return headers.read_header(headers.file_reader(descriptor)).type in (
            headers.FileType.EXECUTABLE,
            headers.FileType.SHARED,
        )
    except headers.NotElf:
        return False


def is_pipe(path: str) -> bool:
    """Whether a FIFO has the place of a mapped file, which no process can have mapped."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def named_like_an_object(path: str) -> bool:
    """Of files that are gone the name alone tells; devices, memory and data files matter to no frame."""
    in_bin = os.path.basename(os.path.dirname(path)) in ("bin", "sbin")
    return (".so" in os.path.basename(path) or in_bin) and not path.startswith(("/dev/", "/memfd:", "/proc/"))


def make_parents(target: Path, group: int, top: Path) -> None:
    """Makes what is missing of the directories from `top` down to where `target` is to lie, for `group` to read.

    Raises OSError, also where a link is among them.
    """
    for directory in reversed(target.parents):
        if directory == top or top in directory.parents:
            files.make_directory(directory, group=group)


def build_id_on_disk(path: str) -> str | None:
    """The build id of the program or shared object that now has that path; None if there is none with one."""
    try:
        with _opened(path) as descriptor:
            return headers.build_id(headers.file_reader(descriptor)) if _may_be_program(descriptor) else None
    except OSError:
        return None


def begins_with(path: str, start: bytes) -> bool:
    """Whether the file that now has that path begins with these bytes."""
    try:
        with _opened(path) as descriptor:
            return _may_be_program(descriptor) and os.pread(descriptor, len(start), 0) == start
    except OSError:
        return False


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
