"""Finds the sections and the exported functions of an ELF program, and the texts that such functions return.

Everything read is capped: the user whom Asterisk runs as may have written the file. Layouts: the generic System V ABI,
chapter 4; `readelf -S --dyn-syms` prints the same.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from astbtd.elf import x86_getters
from astbtd.elf.headers import NotElf, Read, read_file_header

_MOST_SECTIONS = 4096
_LARGEST_TABLE = 64 << 20  # bytes of symbols or of their names
_LONGEST_TEXT = 1024
_NO_BITS = 8  # SHT_NOBITS: takes no room in the file
_X86_64 = 62  # EM_X86_64


@dataclass(frozen=True)
class Section:
    """One section: `size` bytes at `offset` of the file belong at `address`; `link` is the index of another one."""

    name: bytes
    type: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class Sections:
    """All sections of one file. `wide`, `order` and `machine` are its ELF header's."""

    read: Read
    wide: bool
    order: str
    machine: int
    all: tuple[Section, ...]

    @property
    def names(self) -> frozenset[bytes]:
        """What the sections are called."""
        return frozenset(section.name for section in self.all)

    def named(self, name: bytes) -> Section | None:
        """The section of that name."""
        return next((section for section in self.all if section.name == name), None)

    def content(self, section: Section) -> bytes:
        """What is in a section of the file. Raises NotElf where it is too large to be one."""
        if section.size > _LARGEST_TABLE:
            raise NotElf(f"a section claims {section.size} bytes")
        return self.read(section.offset, section.size)

    def symbol(self, name: bytes) -> int | None:
        """The address of a symbol: an exported one, or any where the file is not stripped."""
        tables = (self.named(table) for table in (b".dynsym", b".symtab"))
        found = (self._address_in(table, name) for table in tables if table)
        return next((address for address in found if address), None)

    def text_returned_by(self, function: bytes) -> str | None:
        """What a function that does nothing but return a text returns, read off its instructions (x86-64)."""
        address = self.symbol(function)
        if address is None or self.machine != _X86_64:
            return None
        returned = x86_getters.address_returned(self.at(address, x86_getters.LONGEST), address)
        return None if returned is None else self.text(returned)

    def text(self, address: int) -> str | None:
        """The characters at an address, up to the first zero byte; None if nothing is there."""
        characters, zero, _ = self.at(address, _LONGEST_TEXT).partition(b"\0")
        return characters.decode(errors="replace") if zero else None

    def at(self, address: int, size: int) -> bytes:
        """Up to `size` bytes of what the file puts at an address."""
        for section in self.all:
            inside = address - section.address
            if section.address and section.type != _NO_BITS and 0 <= inside < section.size:
                return self.read(section.offset + inside, min(size, section.size - inside))
        return b""

    def _address_in(self, table: Section, name: bytes) -> int | None:
        if table.link >= len(self.all):
            return None
        texts = self.content(self.all[table.link])
        wanted = set(_positions(texts, name))
        symbols = self.content(table)
        layout = struct.Struct(self.order + ("IBBHQQ" if self.wide else "IIIBBH"))
        rows = layout.iter_unpack(symbols[: len(symbols) // layout.size * layout.size])
        return next((row[4] if self.wide else row[1] for row in rows if row[0] in wanted), None)


def read_sections(read: Read) -> Sections:
    """The sections of an ELF file. Raises NotElf."""
    header = read_file_header(read)
    layout = struct.Struct(header.order + ("IIQQQQIIQQ" if header.wide else "IIIIIIIIII"))
    count = min(header.section_count, _MOST_SECTIONS)
    if count and header.section_size != layout.size:
        raise NotElf("the sections have an unknown size")
    raw = read(header.sections_at, count * layout.size)
    if len(raw) < count * layout.size:
        raise NotElf("the table of sections is cut short")
    rows = list(layout.iter_unpack(raw))
    names = _names(read, rows, header.names_section)
    return Sections(read, header.wide, header.order, header.machine, tuple(_section(row, names) for row in rows))


def _names(read: Read, rows: list[tuple[int, ...]], index: int) -> bytes:
    if index >= len(rows):
        return b""
    offset, size = rows[index][4:6]
    return read(offset, min(size, _LARGEST_TABLE))


def _section(row: tuple[int, ...], names: bytes) -> Section:
    name, kind, _, address, offset, size, link, *_ = row
    end = names.find(b"\0", name)
    return Section(names[name:end] if end >= 0 else b"", kind, address, offset, size, link)


def _positions(texts: bytes, name: bytes) -> Iterable[int]:
    """Where in a table of names one stands, also as the end of a longer one."""
    position = texts.find(name + b"\0")
    while position >= 0:
        yield position
        position = texts.find(name + b"\0", position + 1)
