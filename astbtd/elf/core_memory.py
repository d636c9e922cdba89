"""What a core holds of its process's memory: bytes by address, the files that were mapped, and their build ids.

Source of the layouts: the kernel's fs/binfmt_elf.c (fill_files_note).
"""

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass

from astbtd.elf import headers

NT_FILE = 0x46494C45
_PT_LOAD = 1
_MOST_MAPPINGS = 1 << 18
_DELETED = " (deleted)"


@dataclass(frozen=True)
class Mapping:
    """A part of a file in memory, from `start` up to `end`; `offset` is where in the file it begins."""

    start: int
    end: int
    offset: int
    path: str


class CoreMemory:
    """The memory that a core has."""

    def __init__(self, header: headers.Header, read: headers.Read) -> None:
        loads = [segment for segment in header.segments if segment.type == _PT_LOAD and segment.file_size]
        self._loads = sorted(loads, key=lambda segment: segment.address)
        self._starts = [segment.address for segment in self._loads]
        self._read = read

    def read(self, address: int, size: int) -> bytes:
        """The memory at `address`, as far as one segment of the core has it."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return b""
        segment = self._loads[index]
        offset = address - segment.address
        return self._read(segment.offset + offset, max(0, min(size, segment.file_size - offset)))

    def build_id(self, mapping: Mapping) -> str | None:
        """The build id of the program or shared object that this is a part of; None if the core does not have it."""
        return headers.build_id(self.read, mapping.start - mapping.offset)


def mappings(content: bytes, header: headers.Header) -> tuple[Mapping, ...]:
    """The file mappings of an NT_FILE note: count, page size, (start, end, page offset) each, then the names."""
    word = header.order + ("Q" if header.wide else "I")
    if len(content) < 2 * header.word:
        return ()
    count, page_size = struct.unpack_from(word[0] + 2 * word[1], content)
    names_at = header.word * (2 + 3 * count)
    if count > _MOST_MAPPINGS or names_at > len(content):
        return ()
    numbers = struct.iter_unpack(word[0] + 3 * word[1], content[2 * header.word : names_at])
    names = content[names_at:].split(b"\0")
    paths = {name: os.fsdecode(name).removesuffix(_DELETED) for name in set(names)}  # a name stands there five times
    return tuple(
        Mapping(start, end, offset * page_size, paths[name])
        for (start, end, offset), name in zip(numbers, names, strict=False)
    )
