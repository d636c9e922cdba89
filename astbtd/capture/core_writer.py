"""Write an ELF core of a process that continues to run: its notes, and its memory as it is read.

The layouts are those of the kernel's cores: fs/binfmt_elf.c, include/linux/elfcore.h; 64-bit, little-endian. The file
is sparse: parts that are not written read as zeros, like memory that was never touched.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from astbtd.capture.process_memory import PAGE, MemoryChunk, MemoryMapping
from astbtd.elf.registers import RegisterLayout

_PT_LOAD, _PT_NOTE = 1, 4
_NT_PRSTATUS, _NT_FPREGSET, _NT_PRPSINFO, _NT_AUXV, _NT_FILE = 1, 2, 3, 6, 0x46494C45
_HEADER, _PROGRAM_HEADER = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_ET_CORE = 4
_EV_CURRENT = 1
_MAX_SEGMENTS = 0xFFFF - 2
_PERMISSION_BITS = (("r", 4), ("w", 2), ("x", 1))  # PF_R, PF_W, PF_X


@dataclass(frozen=True)
class ThreadRegisters:
    """The register sets of one thread, as ptrace returns them; `further` are those of the machine, by type."""

    tid: int
    general: bytes
    floating_point: bytes
    further: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessInfo:
    """The fields of the note that describes the process, NT_PRPSINFO. `command_line` is as in /proc/PID/cmdline."""

    pid: int
    uid: int
    gid: int
    name: bytes
    command_line: bytes


@dataclass(frozen=True)
class CoreSegment:
    """Memory from `start` up to `end` that the core will contain; `permissions` such as `rw-p`."""

    start: int
    end: int
    permissions: str


class CoreWriter:
    """Writes a core to the descriptor `target`, an empty file: first the headers, then chunks of memory."""

    def __init__(self, target: int, segments: Sequence[CoreSegment]) -> None:
        self._target = target
        self._segments = sorted(segments, key=lambda segment: segment.start)[:_MAX_SEGMENTS]
        self._starts = [segment.start for segment in self._segments]
        self._offsets: list[int] = []

    def write_headers(self, machine: RegisterLayout, notes: bytes) -> None:
        """Write everything before the memory, and set the size of the file. Raise OSError."""
        count = len(self._segments) + 1
        notes_offset = _HEADER.size + count * _PROGRAM_HEADER.size
        offset = _page_up(notes_offset + len(notes))
        rows = [_PROGRAM_HEADER.pack(_PT_NOTE, 0, notes_offset, 0, 0, len(notes), 0, 4)]
        for segment in self._segments:
            size = segment.end - segment.start
            flags = _segment_flags(segment.permissions)
            rows.append(_PROGRAM_HEADER.pack(_PT_LOAD, flags, offset, segment.start, 0, size, size, PAGE))
            self._offsets.append(offset)
            offset += size
        sizes = (_HEADER.size, _PROGRAM_HEADER.size, count, 0, 0, 0)
        header = _HEADER.pack(_IDENT, _ET_CORE, machine.elf_machine, _EV_CURRENT, 0, _HEADER.size, 0, 0, *sizes)
        os.ftruncate(self._target, offset)
        _write_at(self._target, header + b"".join(rows) + notes, 0)

    def write_memory(self, chunk: MemoryChunk) -> None:
        """Write memory to its position; parts outside all segments are skipped. Raise OSError."""
        address, rest = chunk.address, memoryview(chunk.content)
        while rest:
            index = bisect_right(self._starts, address) - 1
            if index < 0 or address >= self._segments[index].end:
                size = min(self._gap_after(index, address, len(rest)), len(rest))
            else:
                segment = self._segments[index]
                size = min(segment.end - address, len(rest))
                _write_at(self._target, rest[:size], self._offsets[index] + address - segment.start)
            address, rest = address + size, rest[size:]

    def _gap_after(self, index: int, address: int, default: int) -> int:
        """Return the bytes from `address` to the segment after `index`; `default` if there is none."""
        following = index + 1
        return self._starts[following] - address if following < len(self._starts) else default


def build_notes(
    process: ProcessInfo, threads: Sequence[ThreadRegisters], auxv: bytes, mappings: Sequence[MemoryMapping]
) -> bytes:
    """Return the notes of a core. A debugger selects the first of `threads`."""
    first, *others = threads
    notes = [
        _status_note(first),
        _note(_NT_PRPSINFO, _process_info(process)),
        _note(_NT_AUXV, auxv),
        _note(_NT_FILE, _file_table([mapping for mapping in mappings if mapping.is_file])),
        *_other_sets(first),
    ]
    for thread in others:
        notes += [_status_note(thread), *_other_sets(thread)]
    return b"".join(notes)


def _other_sets(thread: ThreadRegisters) -> list[bytes]:
    """Return the notes of the register sets that are not in NT_PRSTATUS."""
    further = (_note(kind, content, b"LINUX\0") for kind, content in thread.further.items())
    return [_note(_NT_FPREGSET, thread.floating_point), *further]


def _status_note(thread: ThreadRegisters) -> bytes:
    """Return struct elf_prstatus, without a signal and without times."""
    start = struct.pack("<32xi76x", thread.tid)
    floating_point_valid = struct.pack("<i4x", 1)
    return _note(_NT_PRSTATUS, start + thread.general + floating_point_valid)


def _process_info(process: ProcessInfo) -> bytes:
    """Return struct elf_prpsinfo."""
    start = struct.pack("<16xIIi12x", process.uid, process.gid, process.pid)
    arguments = process.command_line.rstrip(b"\0").replace(b"\0", b" ")[:79]
    return start + process.name[:15].ljust(16, b"\0") + arguments.ljust(80, b"\0")


def _file_table(mappings: Sequence[MemoryMapping]) -> bytes:
    """Return the content of NT_FILE. In /proc/PID/maps a newline in a path is written as `\\012`."""
    rows = [struct.pack("<QQQ", mapping.start, mapping.end, mapping.offset // PAGE) for mapping in mappings]
    paths = b"".join(mapping.path.replace(rb"\012", b"\n") + b"\0" for mapping in mappings)
    return struct.pack("<QQ", len(rows), PAGE) + b"".join(rows) + paths


def _note(kind: int, content: bytes, owner: bytes = b"CORE\0") -> bytes:
    return struct.pack("<III", len(owner), len(content), kind) + _pad_4(owner) + _pad_4(content)


def _segment_flags(permissions: str) -> int:
    return sum(bit for letter, bit in _PERMISSION_BITS if letter in permissions[:3])


def _write_at(target: int, content: bytes | memoryview, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(target, rest, offset)
        rest, offset = rest[written:], offset + written


def _pad_4(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _page_up(offset: int) -> int:
    return -(-offset // PAGE) * PAGE
