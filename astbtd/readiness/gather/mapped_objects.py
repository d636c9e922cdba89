"""Compares the files that a running Asterisk has mapped with those on disk."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from astbtd.elf import headers
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.readiness.gather import process_facts, program_files
from astbtd.readiness.program_facts import FileChange, MappedObject, ObjectRole

_CLOCK_TOLERANCE = 2.0  # seconds; the start of a process is relative to the boot time, which has whole seconds
_DELETED = " (deleted)"
_LIBC = re.compile(r"(?:libc|libpthread)[.-].*")
_EXECUTABLE_MAPPING = re.compile(r"([0-9a-f]+)-[0-9a-f]+ ..x. ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)")
_FIRST_MAPPING = re.compile(r"([0-9a-f]+)-[0-9a-f]+ .... 0+ [0-9a-f]+:[0-9a-f]+ \d+ +(/.*)")


@dataclass(frozen=True)
class _Mapping:
    """A mapped file. `start` is the address of its first byte in memory, None if that is not mapped."""

    path: str
    deleted: bool
    inode: int
    start: int | None


def read_mapped_objects(pid: int, started: float, gdb_user: SandboxUser) -> tuple[MappedObject, ...]:
    """Return the executable and the shared objects of a process. Raise OSError."""
    with process_facts.open_process(pid) as process:
        executable = os.readlink("exe", dir_fd=process).removesuffix(_DELETED)
        maps = os.fsdecode(process_facts.read_file(process, "maps"))
        return tuple(_compare(mapping, executable, process, started, gdb_user) for mapping in _parse_maps(maps))


def read_executable_path(pid: int) -> str:
    """Return the path of the executable of a process. Raise OSError."""
    with process_facts.open_process(pid) as process:
        return os.readlink("exe", dir_fd=process).removesuffix(_DELETED)


def _parse_maps(maps: str) -> Iterator[_Mapping]:
    """Yield each file from which code is mapped, once. The kernel escapes newlines in file names."""
    starts: dict[str, int] = {}
    for line in maps.splitlines():
        match = _FIRST_MAPPING.fullmatch(line)
        if match:
            starts.setdefault(match[2], int(match[1], 16))
    seen: set[str] = set()
    for line in maps.splitlines():
        match = _EXECUTABLE_MAPPING.fullmatch(line)
        if match is None or match[6] in seen:
            continue
        name = match[6]
        seen.add(name)
        path = name.removesuffix(_DELETED)
        yield _Mapping(path, deleted=path != name, inode=int(match[5]), start=starts.get(name))


def _compare(mapping: _Mapping, executable: str, process: int, started: float, gdb_user: SandboxUser) -> MappedObject:
    role = _find_role(mapping.path, executable)
    try:
        with program_files.open_elf(mapping.path) as read:
            symbols = program_files.find_symbols(mapping.path, read)
            change = _find_change(mapping, headers.build_id(read), process, started)
    except (OSError, headers.NotElf):
        return MappedObject(mapping.path, role, FileChange.REMOVED, symbols=False, readable=False)
    return MappedObject(mapping.path, role, change, symbols, gdb_user.can_read(mapping.path))


def _find_change(mapping: _Mapping, build_id_on_disk: str | None, process: int, started: float) -> FileChange | None:
    """Compare a mapping with the file on disk. Another file with the same build id is no change."""
    status = os.stat(mapping.path)
    if not mapping.deleted and status.st_ino == mapping.inode:
        was_written = status.st_mtime > started + _CLOCK_TOLERANCE
        return FileChange.OVERWRITTEN if was_written else None
    running_build_id = _read_build_id(process, mapping.start)
    if running_build_id and running_build_id == build_id_on_disk:
        return None
    return FileChange.REPLACED


def _read_build_id(process: int, start: int | None) -> str | None:
    """Read the build id from the memory of a process; None if that is not possible (not root)."""
    if start is None:
        return None
    try:
        memory = os.open("mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    except OSError:
        return None
    try:
        return headers.build_id(headers.file_reader(memory), start)
    finally:
        os.close(memory)


def _find_role(path: str, executable: str) -> ObjectRole:
    directory, name = os.path.split(path)
    if path == executable or directory.endswith("/modules") or name.startswith("libasterisk"):
        return ObjectRole.ASTERISK
    if _LIBC.fullmatch(name):
        return ObjectRole.LIBC
    return ObjectRole.LIBRARY
