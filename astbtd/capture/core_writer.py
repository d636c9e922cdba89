"""Writes an ELF core of a process that lives on: its notes, and its memory as it is read.

The layouts are those of the kernel's cores: fs/binfmt_elf.c, include/linux/elfcore.h; 64 bits, least significant byte
first. The file is sparse: what is not written reads as zeros, as memory does that was never touched.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.capture.process_memory import PAGE, Mapping, MemoryChunk
from astbtd.elf.registers import RegisterLayout

_PT_LOAD, _PT_NOTE = 1, 4
_NT_PRSTATUS, _NT_FPREGSET, _NT_PRPSINFO, _NT_AUXV, _NT_FILE = 1, 2, 3, 6, 0x46494C45
_HEADER, _PROGRAM_HEADER = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_ET_CORE = 4
_MOST_SEGMENTS = 0xFFFF - 2
_READ, _WRITE, _EXECUTE = 4, 2, 1


@dataclass(frozen=True)
class Registers:
    """The registers of one thread, as ptrace gives them."""

    tid: int
    general: bytes
    floating_point: bytes


@dataclass(frozen=True)
class Identity:
    """Who the process is, for the note that `ps` would be made of."""

    pid: int
    uid: int
    gid: int
    name: bytes
    command_line: bytes


@dataclass(frozen=True)
class CoreSegment:
    """Memory that the core is to have, from `start` to `end`; `permissions` as `rw-p`."""

    start: int
    end: int
    permissions: str


class CoreWriter:
    """A core that is being written to the descriptor `target`, an empty file."""

    def __init__(self, target: int, extents: Sequence[CoreSegment]) -> None:
        self._target = target
        self._extents = sorted(extents, key=lambda extent: extent.start)[:_MOST_SEGMENTS]
        self._starts = [extent.start for extent in self._extents]
        self._offsets: list[int] = []

    def begin(self, machine: RegisterLayout, notes: bytes) -> None:
        """Writes all that comes before the memory. Raises OSError."""
        count = len(self._extents) + 1
        notes_at = _HEADER.size + count * _PROGRAM_HEADER.size
        offset = _page_up(notes_at + len(notes))
        rows = [_PROGRAM_HEADER.pack(_PT_NOTE, 0, notes_at, 0, 0, len(notes), 0, 4)]
        for extent in self._extents:
            size = extent.end - extent.start
            flags = _flags(extent.permissions)
            rows.append(_PROGRAM_HEADER.pack(_PT_LOAD, flags, offset, extent.start, 0, size, size, PAGE))
            self._offsets.append(offset)
            offset += size
        sizes = (_HEADER.size, _PROGRAM_HEADER.size, count, 0, 0, 0)
        header = _HEADER.pack(_IDENT, _ET_CORE, machine.elf, 1, 0, _HEADER.size, 0, 0, *sizes)
        os.ftruncate(self._target, offset)
        _write_at(self._target, header + b"".join(rows) + notes, 0)

    def write(self, piece: MemoryChunk) -> None:
        """Writes memory to its place; what no extent takes in is left out. Raises OSError."""
        address, content = piece.address, memoryview(piece.content)
        while content:
            index = bisect_right(self._starts, address) - 1
            extent = self._extents[index] if index >= 0 else None
            if extent is None or address >= extent.end:
                following = self._starts[index + 1] if index + 1 < len(self._starts) else address + len(content)
                skipped = min(following - address, len(content))
            else:
                skipped = min(extent.end - address, len(content))
                _write_at(self._target, content[:skipped], self._offsets[index] + address - extent.start)
            address, content = address + skipped, content[skipped:]


def notes(identity: Identity, threads: Sequence[Registers], auxv: bytes, mapped: Sequence[Mapping]) -> bytes:
    """The notes of a core; the first of `threads` is the one that a debugger will select."""
    parts = [_status(threads[0]), _note(_NT_PRPSINFO, _info(identity)), _note(_NT_AUXV, auxv)]
    parts += [_note(_NT_FILE, _files([mapping for mapping in mapped if mapping.of_a_file]))]
    parts += [_note(_NT_FPREGSET, threads[0].floating_point)]
    for thread in threads[1:]:
        parts += [_status(thread), _note(_NT_FPREGSET, thread.floating_point)]
    return b"".join(parts)


def _status(thread: Registers) -> bytes:
    """struct elf_prstatus, with no signal and no times."""
    start = struct.pack("<32xi76x", thread.tid)
    floating_point_valid = struct.pack("<i4x", 1)
    return _note(_NT_PRSTATUS, start + thread.general + floating_point_valid)


def _info(identity: Identity) -> bytes:
    """struct elf_prpsinfo."""
    start = struct.pack("<16xIIi12x", identity.uid, identity.gid, identity.pid)
    arguments = identity.command_line.rstrip(b"\0").replace(b"\0", b" ")[:79]
    return start + identity.name[:15].ljust(16, b"\0") + arguments.ljust(80, b"\0")


def _files(mapped: Sequence[Mapping]) -> bytes:
    rows = [struct.pack("<QQQ", mapping.start, mapping.end, mapping.offset // PAGE) for mapping in mapped]
    names = b"".join(mapping.path.replace(rb"\012", b"\n") + b"\0" for mapping in mapped)
    return struct.pack("<QQ", len(rows), PAGE) + b"".join(rows) + names


def _note(kind: int, content: bytes) -> bytes:
    name = b"CORE\0"
    return struct.pack("<III", len(name), len(content), kind) + _padded(name) + _padded(content)


def _flags(permissions: str) -> int:
    bits = zip("rwx", (_READ, _WRITE, _EXECUTE), strict=True)
    return sum(bit for letter, bit in bits if letter in permissions[:3])


def _write_at(target: int, content: bytes | memoryview, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(target, rest, offset)
        rest, offset = rest[written:], offset + written


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _page_up(offset: int) -> int:
    return -(-offset // PAGE) * PAGE
