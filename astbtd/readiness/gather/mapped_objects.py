"""Compares what a running Asterisk has mapped with what lies on disk now."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from astbtd.elf import headers
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.readiness.facts import Change, MappedObject, Role
from astbtd.readiness.gather import process_facts, program_files

_CLOCKS_DIFFER = 2.0  # seconds; the kernel tells in whole ones when it was booted, which a start is counted from
_DELETED = " (deleted)"
_LIBC = re.compile(r"(?:libc|libpthread)[.-].*")
_LINE = re.compile(r"([0-9a-f]+)-[0-9a-f]+ ..x. ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)")
_FIRST = re.compile(r"([0-9a-f]+)-[0-9a-f]+ .... 0+ [0-9a-f]+:[0-9a-f]+ \d+ +(/.*)")


@dataclass(frozen=True)
class _Mapped:
    """One mapped file: its first address in memory, where that holds its beginning, and its inode."""

    path: str
    deleted: bool
    inode: int
    start: int | None


def mapped_objects(pid: int, started: float, reader: SandboxUser) -> tuple[MappedObject, ...]:
    """The executable and the shared objects that a process runs. Raises OSError."""
    with process_facts.opened(pid) as directory:
        executable = os.readlink("exe", dir_fd=directory).removesuffix(_DELETED)
        maps = os.fsdecode(process_facts.read(directory, "maps"))
        return tuple(_compared(each, executable, directory, started, reader) for each in _mapped(maps))


def executable(pid: int) -> str:
    """The path of the program that a process runs. Raises OSError."""
    with process_facts.opened(pid) as directory:
        return os.readlink("exe", dir_fd=directory).removesuffix(_DELETED)


def _mapped(maps: str) -> Iterator[_Mapped]:
    """Each file that code is mapped from, once; a name may hold anything but a newline, which the kernel escapes."""
    starts = {match[2]: int(match[1], 16) for line in maps.splitlines()[::-1] if (match := _FIRST.fullmatch(line))}
    seen = set()
    for line in maps.splitlines():
        match = _LINE.fullmatch(line)
        if match and match[6] not in seen:
            seen.add(match[6])
            path = match[6].removesuffix(_DELETED)
            yield _Mapped(path, path != match[6], int(match[5]), starts.get(match[6]))


def _compared(mapped: _Mapped, executable: str, process_fd: int, started: float, reader: SandboxUser) -> MappedObject:
    role = _role(mapped.path, executable)
    try:
        with program_files.read_program(mapped.path) as read:
            symbols = program_files.has_symbols(mapped.path, read)
            change = _change(mapped, headers.build_id(read), process_fd, started)
    except (OSError, headers.NotElf):
        return MappedObject(mapped.path, role, Change.REMOVED, symbols=False, readable=False)
    return MappedObject(mapped.path, role, change, symbols, reader.can_read(mapped.path))


def _change(mapped: _Mapped, on_disk: str | None, process_fd: int, started: float) -> Change | None:
    """Another file of the same build is no change: it is the same program, installed again."""
    status = os.stat(mapped.path)
    if not mapped.deleted and status.st_ino == mapped.inode:
        return Change.OVERWRITTEN if status.st_mtime > started + _CLOCKS_DIFFER else None
    running = _build_id_in_memory(process_fd, mapped.start)
    return None if running and running == on_disk else Change.REPLACED


def _build_id_in_memory(process_fd: int, start: int | None) -> str | None:
    """None where it cannot be read: what has been replaced then counts as another build."""
    if start is None:
        return None
    try:
        memory = os.open("mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process_fd)
    except OSError:
        return None
    try:
        return headers.build_id(headers.file_reader(memory), start)
    finally:
        os.close(memory)


def _role(path: str, executable: str) -> Role:
    directory, name = os.path.split(path)
    if path == executable or directory.endswith("/modules") or name.startswith("libasterisk"):
        return Role.ASTERISK
    return Role.LIBC if _LIBC.fullmatch(name) else Role.LIBRARY
