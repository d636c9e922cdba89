"""The memory image in a core: bytes by address, the mapped files, and their build ids.

Source of the layouts: the kernel's fs/binfmt_elf.c (fill_files_note).
"""

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass

from astbtd.elf import headers
from astbtd.elf.headers import PT_LOAD

NT_FILE = 0x46494C45
MAX_FILES = 10_000
"""How many of the files that a core names are looked at; Asterisk with all its modules has 421."""

_MAX_MAPPINGS = 1 << 18
_MAX_PATH = 4096  # bytes; no longer path can be opened (PATH_MAX)
_DELETED = " (deleted)"


@dataclass(frozen=True)
class FileMapping:
    """A part of a file mapped at `start` up to `end`; `offset` is its position in the file in bytes."""

    start: int
    end: int
    offset: int
    path: str


class CoreMemory:
    """The memory that a core contains."""

    def __init__(self, header: headers.Header, read: headers.Read) -> None:
        loads = [segment for segment in header.segments if segment.type == PT_LOAD and segment.file_size]
        self._loads = sorted(loads, key=lambda segment: segment.address)
        self._starts = [segment.address for segment in self._loads]
        self._read = read

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, not beyond the segment that holds it; empty if there is none."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return b""
        segment = self._loads[index]
        offset = address - segment.address
        available = max(0, segment.file_size - offset)
        return self._read(segment.offset + offset, min(size, available))

    def build_id(self, mapping: FileMapping) -> str | None:
        """Return the build id of the mapped program or shared object; None if the core does not contain it."""
        return headers.build_id(self.read, mapping.start - mapping.offset)


def parse_file_mappings(content: bytes, header: headers.Header) -> tuple[FileMapping, ...]:
    """Return the file mappings of an NT_FILE note, none if the note is invalid.

    Format: count, page size; (start, end, offset in pages) for each mapping; then the paths, each ended by a NUL.
    """
    pointer = header.pointer_format
    head = struct.Struct(f"{header.byte_order}2{pointer}")
    row = struct.Struct(f"{header.byte_order}3{pointer}")
    if len(content) < head.size:
        return ()
    count, page_size = head.unpack_from(content)
    paths_start = head.size + count * row.size
    if count > _MAX_MAPPINGS or paths_start > len(content):
        return ()
    rows = row.iter_unpack(content[head.size : paths_start])
    raw_paths = content[paths_start:].split(b"\0")
    decoded = {raw: _decode_path(raw) for raw in set(raw_paths)}  # a path occurs about five times: decode it once
    return tuple(
        FileMapping(start, end, offset * page_size, decoded[raw])
        for (start, end, offset), raw in zip(rows, raw_paths, strict=False)
        if len(raw) <= _MAX_PATH
    )


def _decode_path(raw: bytes) -> str:
    return os.fsdecode(raw).removesuffix(_DELETED)
