"""Read ELF headers, notes and build ids, from files and from images in memory. All sizes read are limited.

Layouts: the generic System V ABI, chapters 4 and 5; `readelf -l -n` prints the same.
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""`read(position, size)` returns up to `size` bytes at `position`, fewer where the data ends."""

PT_LOAD, PT_NOTE = 1, 4

_MAGIC = b"\x7fELF"
_IDENT_SIZE = 16
_EI_CLASS, _EI_DATA = 4, 5  # indices of bytes in e_ident
_CLASS_32, _CLASS_64 = 1, 2
_LITTLE_ENDIAN, _BIG_ENDIAN = 1, 2
# Formats, as in `struct`, and offsets in bytes; by whether the file is 64-bit.
_HEADER_FORMAT = {True: "HHIQQQIHHHHHH", False: "HHIIIIIHHHHHH"}  # what follows e_ident
_SEGMENT_FORMAT = {True: "IIQQQQQQ", False: "IIIIIIII"}
_SH_INFO_OFFSET = {True: 44, False: 28}
_PN_XNUM = 0xFFFF  # the number of segments does not fit its field: it is in sh_info of section 0
_MAX_SEGMENTS = 1 << 18  # four times Linux's default limit of mappings per process
_MAX_NOTE_BYTES = 64 << 20  # read from one image
_MAX_NOTES = 1 << 18  # read from one segment; a core has about six for each thread
_MAX_NOTE_SEGMENTS = 16  # a core has one, a program about three
# A core may name thousands of programs, each of which may be made up:
_MAX_PROGRAM_SEGMENTS = 256  # of a program or shared object; they have about 13
_MAX_PROGRAM_NOTE_BYTES = 16 << 10  # of a program or shared object; they have some hundred bytes
_MAX_POSITION = 1 << 62  # no file is this large, and pread(2) rejects much larger positions
_MAX_BUILD_ID = 64  # bytes
_NT_GNU_BUILD_ID = 3
_BUILD_ID_SIZE = 20  # bytes, the linker's default
_BUILD_ID_NOTES = (  # headers of notes with an id of that size, little-endian and big-endian
    b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0",
    b"\0\0\0\x04\0\0\0\x14\0\0\0\x03GNU\0",
)


class NotElf(ValueError):
    """The data is not an ELF file, or a broken one."""


class FileType(IntEnum):
    """The e_type values that are used here."""

    EXECUTABLE = 2
    SHARED = 3
    CORE = 4


class Segment(NamedTuple):
    """One program header: `file_size` bytes at `offset` of the file are loaded at `address`.

    A named tuple, because a core has thousands of them.
    """

    type: int
    flags: int
    offset: int
    address: int
    file_size: int


@dataclass(frozen=True)
class Header:
    """The header of an ELF file. `byte_order` is '<' or '>', as in `struct`; `machine` is e_machine."""

    is_64bit: bool
    byte_order: str
    type: int
    machine: int
    segments: tuple[Segment, ...]

    @property
    def pointer_format(self) -> str:
        """The format of a pointer, as in `struct`."""
        return "Q" if self.is_64bit else "I"


@dataclass(frozen=True)
class Note:
    """One note of a PT_NOTE segment."""

    owner: bytes
    type: int
    content: bytes


@dataclass(frozen=True)
class FileHeader:
    """The fields of an ELF header that describe the file and its tables. Offsets and sizes are in bytes."""

    is_64bit: bool
    byte_order: str
    type: int
    machine: int
    segment_table: int
    section_table: int
    segment_entry_size: int
    segment_count: int
    section_entry_size: int
    section_count: int
    name_section: int


def file_reader(descriptor: int) -> Read:
    """Return a function that reads an open file without moving its position."""

    def read(position: int, size: int) -> bytes:
        return os.pread(descriptor, size, position) if 0 <= position < _MAX_POSITION else b""

    return read


def read_file_header(read: Read) -> FileHeader:
    """Return the ELF header alone, without segments. Raise NotElf."""
    is_64bit, byte_order = _parse_ident(read(0, _IDENT_SIZE))
    layout = struct.Struct(byte_order + _HEADER_FORMAT[is_64bit])
    raw = read(_IDENT_SIZE, layout.size)
    if len(raw) < layout.size:
        raise NotElf("the ELF header is cut short")
    # The fields between are e_version and e_entry, then e_flags and e_ehsize.
    kind, machine, _, _, segment_table, section_table, _, _, *sizes = layout.unpack(raw)
    return FileHeader(is_64bit, byte_order, kind, machine, segment_table, section_table, *sizes)


def _parse_ident(ident: bytes) -> tuple[bool, str]:
    """Return whether the file is 64-bit, and its byte order."""
    if len(ident) < _IDENT_SIZE or not ident.startswith(_MAGIC):
        raise NotElf("no ELF magic")
    elf_class, data = ident[_EI_CLASS], ident[_EI_DATA]
    if elf_class not in (_CLASS_32, _CLASS_64) or data not in (_LITTLE_ENDIAN, _BIG_ENDIAN):
        raise NotElf("no ELF magic")
    return elf_class == _CLASS_64, "<" if data == _LITTLE_ENDIAN else ">"


def read_header(read: Read, most_segments: int = _MAX_SEGMENTS) -> Header:
    """Return the header and segments of an ELF image. Raise NotElf."""
    header = read_file_header(read)
    count = header.segment_count
    if count == _PN_XNUM:
        count = _extended_segment_count(read, header)
    if count > most_segments:
        raise NotElf(f"it claims {count} segments")
    segments = _read_segments(read, header, count)
    return Header(header.is_64bit, header.byte_order, header.type, header.machine, segments)


def _extended_segment_count(read: Read, header: FileHeader) -> int:
    """Return sh_info of section 0."""
    raw = read(header.section_table + _SH_INFO_OFFSET[header.is_64bit], 4)
    if header.section_table == 0 or len(raw) < 4:
        raise NotElf("the number of segments is missing")
    return int.from_bytes(raw, "little" if header.byte_order == "<" else "big")


def _read_segments(read: Read, header: FileHeader, count: int) -> tuple[Segment, ...]:
    layout = struct.Struct(header.byte_order + _SEGMENT_FORMAT[header.is_64bit])
    if count and header.segment_entry_size != layout.size:
        raise NotElf("the segments have an unknown size")
    raw = read(header.segment_table, count * layout.size)
    if len(raw) < count * layout.size:
        raise NotElf("the table of segments is cut short")
    rows = layout.iter_unpack(raw)
    # p_flags comes second in 64-bit files and last but one in 32-bit files; left out: p_paddr, p_memsz, p_align.
    if header.is_64bit:
        return tuple(
            Segment(kind, flags, offset, address, size) for kind, flags, offset, address, _, size, _, _ in rows
        )
    return tuple(Segment(kind, flags, offset, address, size) for kind, offset, address, _, size, _, flags, _ in rows)


def read_notes(
    header: Header, read: Read, base: int | None = None, most_bytes: int = _MAX_NOTE_BYTES
) -> Iterator[Note]:
    """Yield all notes of an image; `base` is the address of an image that is mapped in memory, None for a file."""
    bytes_left = most_bytes
    note_segments = (segment for segment in header.segments if segment.type == PT_NOTE)
    for segment in islice(note_segments, _MAX_NOTE_SEGMENTS):
        position = segment.offset if base is None else base + segment.address - _link_address(header)
        size = min(segment.file_size, bytes_left)
        bytes_left -= size
        yield from parse_notes(read(position, size), header.byte_order)


def build_id_in(page: bytes) -> str | None:
    """Return the GNU build id in the first page of a file or image, in hexadecimal; None if it is not there.

    Linkers put the note into the first page. Searching for its bytes is five times as fast as following the headers.
    """
    for note_header in _BUILD_ID_NOTES:
        position = page.find(note_header)
        start = position + len(note_header)
        identity = page[start : start + _BUILD_ID_SIZE]
        if position >= 0 and len(identity) == _BUILD_ID_SIZE:
            return identity.hex()
    return None


def build_id(read: Read, base: int | None = None) -> str | None:
    """Return the GNU build id of a program (or of its image mapped at `base`) in hexadecimal; None if it has none."""
    start = base or 0
    try:
        header = read_header(lambda offset, size: read(start + offset, size), _MAX_PROGRAM_SEGMENTS)
    except NotElf:
        return None
    return find_build_id(read_notes(header, read, base, _MAX_PROGRAM_NOTE_BYTES))


def find_build_id(notes: Iterable[Note]) -> str | None:
    """Return the GNU build id among notes, in hexadecimal; None if there is none."""
    for note in notes:
        if note.owner == b"GNU" and note.type == _NT_GNU_BUILD_ID:
            return note.content[:_MAX_BUILD_ID].hex()
    return None


def _link_address(header: Header) -> int:
    """Return the link-time address of the image's first page: 0 in shared objects, not in fixed-address programs."""
    loads = [segment for segment in header.segments if segment.type == PT_LOAD]
    return min((segment.address - segment.offset for segment in loads), default=0)


def parse_notes(data: bytes, byte_order: str) -> Iterator[Note]:
    """Yield the notes in the content of a note segment or section. Incomplete ones are left out."""
    layout = struct.Struct(byte_order + "III")
    position = 0
    for _ in range(_MAX_NOTES):
        if position + layout.size > len(data):
            return
        name_size, content_size, kind = layout.unpack_from(data, position)
        if not name_size and not content_size and not kind:  # a hole: without this, it would be read as empty notes
            return
        name_start = position + layout.size
        content_start = name_start + _align_4(name_size)
        position = content_start + _align_4(content_size)
        if content_start + content_size > len(data):
            return
        owner = data[name_start : name_start + name_size].rstrip(b"\0")
        yield Note(owner, kind, data[content_start : content_start + content_size])


def _align_4(size: int) -> int:
    return (size + 3) & ~3
