"""Read the sections and exported functions of an ELF program, and the strings that such functions return.

All sizes read are limited: the file may have been written by the user that Asterisk runs as. Layouts: the generic
System V ABI, chapter 4; `readelf -S --dyn-syms` prints the same.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from astbtd.elf import getters
from astbtd.elf.headers import NotElf, Read, find_build_id, parse_notes, read_file_header

_MAX_SECTIONS = 4096
_MAX_TABLE_BYTES = 64 << 20  # of symbols or of their names
_MAX_STRING_BYTES = 1024
_MAX_NAME_BYTES = 256  # of a section; in a made-up file, all names may lie in one another
_BUILD_ID_SECTION = b".note.gnu.build-id"
_SHT_NOTE = 7
_SHT_NOBITS = 8  # such a section occupies no space in the file
# Formats, as in `struct`, and the index of st_value in a symbol; by whether the file is 64-bit.
_SECTION_FORMAT = {True: "IIQQQQIIQQ", False: "IIIIIIIIII"}
_SYMBOL_FORMAT = {True: "IBBHQQ", False: "IIIBBH"}
_ST_INFO_INDEX = {True: 1, False: 3}
_STT_FUNC = 2  # the type of a symbol, in the lower half of st_info
_TYPE_MASK = 0xF
_ST_VALUE_INDEX = {True: 4, False: 1}


@dataclass(frozen=True)
class ElfSection:
    """One section: `size` bytes at `offset` of the file are loaded at `address`; `link` is the index of another."""

    name: bytes
    type: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class ElfSections:
    """All sections of one file. `is_64bit`, `byte_order` and `machine` are as in its ELF header."""

    read: Read
    is_64bit: bool
    byte_order: str
    machine: int
    all: tuple[ElfSection, ...]

    @property
    def names(self) -> frozenset[bytes]:
        """The names of all sections."""
        return frozenset(section.name for section in self.all)

    def find(self, name: bytes) -> ElfSection | None:
        """Return the section of that name; None if there is none."""
        return next((section for section in self.all if section.name == name), None)

    def content(self, section: ElfSection) -> bytes:
        """Return the content of a section. Raise NotElf if it is too large."""
        if section.size > _MAX_TABLE_BYTES:
            raise NotElf(f"a section claims {section.size} bytes")
        return self.read(section.offset, section.size)

    def symbol_address(self, name: bytes) -> int | None:
        """Return the address of a symbol: an exported one, or any if the file is not stripped; None if unknown."""
        for table_name in (b".dynsym", b".symtab"):
            table = self.find(table_name)
            address = self._address_in(table, name) if table else None
            if address:
                return address
        return None

    def exports_functions(self) -> bool:
        """Return True if other objects can call a function of this one: such a function has a name in any case."""
        table = self.find(b".dynsym")
        if table is None:
            return False
        layout = struct.Struct(self.byte_order + _SYMBOL_FORMAT[self.is_64bit])
        info_index, value_index = _ST_INFO_INDEX[self.is_64bit], _ST_VALUE_INDEX[self.is_64bit]
        symbols = self.content(table)
        rows = layout.iter_unpack(symbols[: len(symbols) // layout.size * layout.size])
        return any(row[value_index] and row[info_index] & _TYPE_MASK == _STT_FUNC for row in rows)

    def returned_text(self, function: bytes) -> str | None:
        """Return the string that a getter function returns, from its code; None if unknown."""
        start = self.symbol_address(function)
        if start is None:
            return None
        code = self.read_at(start, getters.MAX_GETTER_BYTES)
        address = getters.returned_address(self.machine, code, start)
        return None if address is None else self.text_at(address)

    def text_at(self, address: int) -> str | None:
        """Return the string at an address, up to its NUL byte; None if there is none."""
        characters, nul, _ = self.read_at(address, _MAX_STRING_BYTES).partition(b"\0")
        return characters.decode(errors="replace") if nul else None

    def read_at(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes that the file loads at an address."""
        for section in self.all:
            if not section.address or section.type == _SHT_NOBITS:
                continue
            offset = address - section.address
            if 0 <= offset < section.size:
                return self.read(section.offset + offset, min(size, section.size - offset))
        return b""

    def _address_in(self, table: ElfSection, name: bytes) -> int | None:
        """Return the address of the symbol `name` in a symbol table."""
        if table.link >= len(self.all):
            return None
        name_offsets = set(_name_offsets(self.content(self.all[table.link]), name))
        layout = struct.Struct(self.byte_order + _SYMBOL_FORMAT[self.is_64bit])
        value_index = _ST_VALUE_INDEX[self.is_64bit]
        symbols = self.content(table)
        whole = symbols[: len(symbols) // layout.size * layout.size]
        for row in layout.iter_unpack(whole):
            if row[0] in name_offsets:  # st_name
                return int(row[value_index])
        return None


def read_sections(read: Read) -> ElfSections:
    """Return the sections of an ELF file. Raise NotElf."""
    header = read_file_header(read)
    layout = struct.Struct(header.byte_order + _SECTION_FORMAT[header.is_64bit])
    count = min(header.section_count, _MAX_SECTIONS)
    if count and header.section_entry_size != layout.size:
        raise NotElf("the sections have an unknown size")
    raw = read(header.section_table, count * layout.size)
    if len(raw) < count * layout.size:
        raise NotElf("the table of sections is cut short")
    rows = list(layout.iter_unpack(raw))
    names = _read_names(read, rows, header.name_section)
    sections = tuple(_parse_section(row, names) for row in rows)
    return ElfSections(read, header.is_64bit, header.byte_order, header.machine, sections)


def debug_build_id(read: Read) -> str | None:
    """Return the build id of a separate debug file in hexadecimal; None if it has none. Raise NotElf.

    The program headers of such a file are those of the program, whose offsets it does not have: only sections count.
    """
    sections = read_sections(read)
    note = sections.find(_BUILD_ID_SECTION)
    if note is None or note.type != _SHT_NOTE:
        return None
    return find_build_id(parse_notes(sections.content(note), sections.byte_order))


def _read_names(read: Read, rows: list[tuple[int, ...]], index: int) -> bytes:
    """Return the table of section names, which is the section at `index`."""
    if index >= len(rows):
        return b""
    offset, size = rows[index][4:6]
    return read(offset, min(size, _MAX_TABLE_BYTES))


def _parse_section(row: tuple[int, ...], names: bytes) -> ElfSection:
    name_offset, kind, _, address, offset, size, link, *_ = row
    name, nul, _ = names[name_offset : name_offset + _MAX_NAME_BYTES].partition(b"\0")
    return ElfSection(name if nul else b"", kind, address, offset, size, link)


def _name_offsets(names: bytes, name: bytes) -> Iterable[int]:
    """Yield the offsets of a name in a table of names, which may be the end of a longer name."""
    position = names.find(name + b"\0")
    while position >= 0:
        yield position
        position = names.find(name + b"\0", position + 1)
