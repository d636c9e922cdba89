"""Reads ELF headers, notes and build ids, of files and of images in memory; all sizes read are capped.

Layouts: the generic System V ABI, chapters 4 and 5; `readelf -l -n` prints the same.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Gives up to `size` bytes at `position`; fewer where there are no more."""

_MAGIC = b"\x7fELF"
_MANY_SEGMENTS = 0xFFFF  # PN_XNUM: the real number stands in sh_info of section 0
_MOST_SEGMENTS = 1 << 18  # four times Linux's default limit of mappings a process
_MOST_NOTES = 64 << 20  # bytes of notes that are read of one image
_MOST_NOTE_SEGMENTS = 16  # a core has one, a program three or so
_FILE_END = 1 << 62  # no file reaches farther, and the kernel takes no larger positions
_PT_NOTE = 4
_NT_GNU_BUILD_ID = 3
_BUILD_ID_NOTES = (  # of 20 bytes, as linkers make it unless told otherwise; little-endian and big
    b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0",
    b"\0\0\0\x04\0\0\0\x14\0\0\0\x03GNU\0",
)


class NotElf(ValueError):
    """What was read is no ELF file, or a broken one."""


class FileType(IntEnum):
    """The kinds of ELF file that matter here (e_type)."""

    EXECUTABLE = 2
    SHARED = 3
    CORE = 4


class Segment(NamedTuple):
    """One program header: `file_size` bytes at `offset` of the file belong at `address`. A core has thousands."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int


@dataclass(frozen=True)
class Header:
    """An ELF file's header; `order` is '<' or '>', as `struct` wants it, `machine` its e_machine."""

    wide: bool
    order: str
    type: int
    machine: int
    segments: tuple[Segment, ...]

    @property
    def word(self) -> int:
        """The size of a pointer in bytes."""
        return 8 if self.wide else 4


@dataclass(frozen=True)
class Note:
    """One note of a PT_NOTE segment."""

    owner: bytes
    type: int
    content: bytes


def file_reader(descriptor: int) -> Read:
    """Reads an open file without moving its position."""

    def read(position: int, size: int) -> bytes:
        return os.pread(descriptor, size, position) if 0 <= position < _FILE_END else b""

    return read


@dataclass(frozen=True)
class FileHeader:
    """The fields of an ELF header that say what the file is and where its tables are."""

    wide: bool
    order: str
    type: int
    machine: int
    segments_at: int
    sections_at: int
    segment_size: int
    segment_count: int
    section_size: int
    section_count: int
    names_section: int


def read_file_header(read: Read) -> FileHeader:
    """The header alone of an ELF image. Raises NotElf."""
    ident = read(0, 16)
    if len(ident) < 16 or ident[:4] != _MAGIC or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise NotElf("no ELF magic")
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    layout = struct.Struct(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"))
    raw = read(16, layout.size)
    if len(raw) < layout.size:
        raise NotElf("the ELF header is cut short")
    kind, machine, _, _, segments_at, sections_at, _, _, *sizes = layout.unpack(raw)
    return FileHeader(wide, order, kind, machine, segments_at, sections_at, *sizes)


def read_header(read: Read) -> Header:
    """The header and segments of an ELF image. Raises NotElf."""
    file = read_file_header(read)
    count = file.segment_count
    if count == _MANY_SEGMENTS:
        count = _real_count(read, file.wide, file.order, file.sections_at)
    segments = _segments(read, file.wide, file.order, file.segments_at, file.segment_size, count)
    return Header(file.wide, file.order, file.type, file.machine, segments)


def _real_count(read: Read, wide: bool, order: str, sections: int) -> int:
    raw = read(sections + (44 if wide else 28), 4)
    if sections == 0 or len(raw) < 4:
        raise NotElf("the number of segments is missing")
    return int.from_bytes(raw, "little" if order == "<" else "big")


def _segments(read: Read, wide: bool, order: str, table: int, entry_size: int, count: int) -> tuple[Segment, ...]:
    layout = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if count and entry_size != layout.size:
        raise NotElf("the segments have an unknown size")
    if count > _MOST_SEGMENTS:
        raise NotElf(f"it claims {count} segments")
    raw = read(table, count * layout.size)
    if len(raw) < count * layout.size:
        raise NotElf("the table of segments is cut short")
    if wide:
        return tuple(Segment(t, f, o, a, s) for t, f, o, a, _, s, _, _ in layout.iter_unpack(raw))
    return tuple(Segment(t, f, o, a, s) for t, o, a, _, s, _, f, _ in layout.iter_unpack(raw))


def notes(header: Header, read: Read, base: int | None = None) -> Iterator[Note]:
    """All notes of an image; with `base`, of one that is mapped in memory at that address."""
    left = _MOST_NOTES
    noted = (segment for segment in header.segments if segment.type == _PT_NOTE)
    for segment in islice(noted, _MOST_NOTE_SEGMENTS):
        position = segment.offset if base is None else base + segment.address - _first_address(header)
        size = min(segment.file_size, left)
        left -= size
        yield from _notes_in(read(position, size), header.order)


def build_id_in(page: bytes) -> str | None:
    """The GNU build id in the first page of a file or an image, which is where linkers put it; None if not found.

    The note is looked for by its own header: walking there by the image's takes five times as long.
    """
    for header in _BUILD_ID_NOTES:
        at = page.find(header)
        identity = page[at + len(header) :][:20]
        if at >= 0 and len(identity) == 20:
            return identity.hex()
    return None


def build_id(read: Read, base: int | None = None) -> str | None:
    """The GNU build id, in hexadecimal, of a file (or of an image mapped at `base`); None if it has none."""
    position = base or 0
    try:
        header = read_header(lambda offset, size: read(position + offset, size))
    except NotElf:
        return None
    for note in notes(header, read, base):
        if note.owner == b"GNU" and note.type == _NT_GNU_BUILD_ID:
            return note.content[:64].hex()
    return None


def _first_address(header: Header) -> int:
    """The link-time address of the image's first page: 0 in shared objects, not in fixed-address programs."""
    loads = [segment for segment in header.segments if segment.type == 1]
    return min((segment.address - segment.offset for segment in loads), default=0)


def _notes_in(data: bytes, order: str) -> Iterator[Note]:
    layout = struct.Struct(order + "III")
    position = 0
    while position + layout.size <= len(data):
        name_size, content_size, kind = layout.unpack_from(data, position)
        name_at = position + layout.size
        content_at = name_at + _padded(name_size)
        position = content_at + _padded(content_size)
        if content_at + content_size > len(data):
            return
        owner = data[name_at : name_at + name_size].rstrip(b"\0")
        yield Note(owner, kind, data[content_at : content_at + content_size])


def _padded(size: int) -> int:
    return (size + 3) & ~3
