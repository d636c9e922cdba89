"""The memory image in a core, and the table of mapped files."""

import pytest

from astbtd.elf import headers
from astbtd.elf.core_memory import CoreMemory, FileMapping, parse_file_mappings
from astbtd.elf.headers import FileType, Header
from tests.support.builders import FORMS, PT_LOAD, PT_NOTE, Form, Part, elf_file


def memory_of(*parts: Part) -> CoreMemory:
    data = elf_file(FORMS[0], FileType.CORE, list(parts))

    def read(position: int, size: int) -> bytes:
        return data[position : position + size]

    return CoreMemory(headers.read_header(read), read)


def header_of(form: Form) -> Header:
    return Header(form.wide, form.order, FileType.CORE, 62, ())


def test_memory_is_read_by_address() -> None:
    memory = memory_of(Part(PT_LOAD, 0x1000, b"first"), Part(PT_LOAD, 0x4000, b"second"))

    assert memory.read(0x4001, 3) == b"eco"
    assert memory.read(0x1000, 5) == b"first"


@pytest.mark.parametrize("address", [0, 0xFFF, 0x1005, 0x2000, 1 << 63])
def test_memory_outside_all_segments_is_empty(address: int) -> None:
    assert memory_of(Part(PT_LOAD, 0x1000, b"first")).read(address, 10) == b""


def test_reading_ends_at_the_end_of_the_segment() -> None:
    memory = memory_of(Part(PT_LOAD, 0x1000, b"first"), Part(PT_LOAD, 0x1005, b"second"))

    assert memory.read(0x1003, 100) == b"st"


def test_other_segments_are_not_memory() -> None:
    assert memory_of(Part(PT_NOTE, 0x1000, b"notes")).read(0x1000, 5) == b""


@pytest.mark.parametrize("form", FORMS)
def test_file_mappings_are_parsed(form: Form) -> None:
    numbers = form.pack("PPPPPPPP", 2, 4096, 0x1000, 0x2000, 0, 0x5000, 0x7000, 3)
    content = numbers + b"/usr/sbin/asterisk (deleted)\0/lib/libc.so.6\0"

    assert parse_file_mappings(content, header_of(form)) == (
        FileMapping(0x1000, 0x2000, 0, "/usr/sbin/asterisk"),
        FileMapping(0x5000, 0x7000, 3 * 4096, "/lib/libc.so.6"),
    )


@pytest.mark.parametrize("count", [2, 1 << 20, 1 << 60])
def test_a_table_with_more_mappings_than_it_can_hold_is_invalid(count: int) -> None:
    content = FORMS[0].pack("PPPPP", count, 4096, 0x1000, 0x2000, 0) + b"/file\0"

    assert parse_file_mappings(content, header_of(FORMS[0])) == ()


def test_an_empty_note_has_no_mappings() -> None:
    assert parse_file_mappings(b"", header_of(FORMS[0])) == ()
