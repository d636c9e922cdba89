"""Give gdb a copy of the executable that hides the macros, which cost a quarter of its time and are never used.

A build with -g3, which is Asterisk's default, describes some 10,000 macros for each source file. gdb reads all of them
for each file that a frame lies in (dwarf2/read.c, read_file_scope), and has no setting that prevents it. Backtraces
show no macros, and our expressions must not be changed by them. In the copy, the type of the section with the macros is
SHT_NULL, so that BFD ignores it.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.elf import headers
from astbtd.elf.elf_sections import ElfSections, read_sections
from astbtd.errors import NoRoom
from astbtd.extraction.object_paths import copy_path, make_parents, may_be_program
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.shared_objects import SharedObjects
from astbtd.lib import sparse
from astbtd.lib.path_walk import opened_regular_file

_MACROS = b".debug_macro"
_SEPARATE_FILES = frozenset({b".gnu_debuglink", b".gnu_debugaltlink"})
"""Sections that name another file with debug information, which gdb looks for beside the executable."""

_MAX_BYTES = 64 << 20  # of the executable; the largest Asterisk seen has 11 MB
_TYPE_OFFSET = 4  # of sh_type in a section header, 4 bytes


@dataclass(frozen=True)
class MacroFreeCopy:
    """Makes the copy in the directory `copies`, for gdb's `user`. `root` is that of the process, empty for the host's.

    `check_reserve(bytes)` raises NoRoom if the disk has no such space.
    """

    user: SandboxUser
    copies: Path
    root: str
    check_reserve: Callable[[int], None]

    def add(self, objects: SharedObjects, executable: str | None) -> SharedObjects:
        """Return the objects with the executable replaced by the copy; the same objects if there is no need for it.

        The original file is never changed. If the copy cannot be made, gdb reads the executable as it is.
        """
        if executable is None or not executable.startswith("/") or executable in objects.missing:
            return objects
        target = Path(copy_path(str(self.copies / (objects.tree or "")), executable))
        new = target.with_name(f"{target.name}.without-macros")
        try:
            with opened_regular_file(*self._source(target, executable)) as (source, _):
                if not _has_needless_macros(source):
                    return objects
                make_parents(target, self.user.gid, self.copies)
                self._copy(source, new)
            new.rename(target)  # which may be a link to the original
        except (OSError, NoRoom, headers.NotElf):
            with suppress(OSError):
                new.unlink()
            return objects
        return replace(objects, copied=tuple(dict.fromkeys((*objects.copied, executable))))

    def _source(self, target: Path, executable: str) -> tuple[str, str]:
        """Return the path of what gdb would read, and the root directory that it must not lead out of."""
        if target.is_file() and not target.is_symlink():  # already a copy, or a link to the inode that was checked
            return str(target), "/"
        return executable, self.root or "/"

    def _copy(self, source: int, new: Path) -> None:
        descriptor = sparse.make_readable_copy(source, new, self.user.gid, self.check_reserve)
        try:
            _hide_macros(descriptor)
            modified = os.fstat(source).st_mtime_ns  # gdb warns of an executable that is newer than the core
            os.utime(descriptor, ns=(modified, modified))
        finally:
            os.close(descriptor)


def _has_needless_macros(descriptor: int) -> bool:
    """Return whether a program has macros in it, and all of its debug information. Raise NotElf."""
    if not may_be_program(descriptor) or os.fstat(descriptor).st_size > _MAX_BYTES:
        return False
    names = _sections(descriptor).names
    return _MACROS in names and not names & _SEPARATE_FILES


def _hide_macros(descriptor: int) -> None:
    """Set the type of the section with the macros to SHT_NULL, in a file of our own. Raise NotElf."""
    header = headers.read_file_header(headers.file_reader(descriptor))
    for index, section in enumerate(_sections(descriptor).all):
        if section.name == _MACROS:
            os.pwrite(descriptor, bytes(4), header.section_table + index * header.section_entry_size + _TYPE_OFFSET)


def _sections(descriptor: int) -> ElfSections:
    return read_sections(headers.file_reader(descriptor))
