"""ELF files of all classes and byte orders are read; broken ones are rejected without reading much."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import headers
from astbtd.elf.headers import FileType, NotElf, Read, Segment
from tests.support.builders import FORMS, PT_LOAD, PT_NOTE, Form, Part, elf_file, program

MANY = 0xFFFF
LITTLE = 1 << 16


def reader(data: bytes) -> Read:
    return lambda position, size: data[position : position + size]


class Meter:
    """Returns `data`, followed by endless zeros, and counts the requested bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked = 0

    def __call__(self, position: int, size: int) -> bytes:
        self.asked += size
        return self._data[position : position + size].ljust(min(size, 1 << 24), b"\0")


@pytest.mark.parametrize("form", FORMS)
def test_header_and_segments_are_read(form: Form) -> None:
    data = elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, b"abcd"), Part(PT_LOAD, 0x4000, b"efgh12")])

    header = headers.read_header(reader(data))

    assert (header.is_64bit, header.byte_order, header.type) == (form.wide, form.order, FileType.CORE)
    assert [data[one.offset : one.offset + one.file_size] for one in header.segments] == [b"abcd", b"efgh12"]
    assert [(one.type, one.flags, one.address) for one in header.segments] == [(PT_NOTE, 5, 0), (PT_LOAD, 5, 0x4000)]


@pytest.mark.parametrize("form", FORMS)
def test_a_number_of_segments_beyond_its_field_is_read_from_section_0(form: Form) -> None:
    parts = [Part(PT_LOAD, 0x1000 * index, b"x") for index in range(3)]
    body = elf_file(form, FileType.CORE, parts)
    section = bytes(44 if form.wide else 28) + form.pack("I", len(parts))

    data = elf_file(form, FileType.CORE, parts, count=MANY, sections=len(body)) + section

    assert len(headers.read_header(reader(data)).segments) == 3


@pytest.mark.parametrize("form", FORMS)
def test_notes_are_read(form: Form) -> None:
    written = [(b"CORE", 1, b"four"), (b"LINUX", 0x202, b"odd"), (b"", 7, b"")]
    data = elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, b"".join(form.note(*note) for note in written))])

    found = headers.read_notes(headers.read_header(reader(data)), reader(data))

    assert [(note.owner, note.type, note.content) for note in found] == written


def test_a_truncated_note_ends_the_notes() -> None:
    form = FORMS[0]
    notes = form.note(b"CORE", 1, b"whole") + form.note(b"CORE", 2, b"torn")[:-2]
    data = elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, notes)])

    found = headers.read_notes(headers.read_header(reader(data)), reader(data))

    assert [note.content for note in found] == [b"whole"]


@pytest.mark.parametrize("form", FORMS)
def test_the_build_id_of_a_file_is_read(form: Form) -> None:
    assert headers.build_id(reader(program(form, b"\x01\x02\xfe"))) == "0102fe"


@pytest.mark.parametrize("linked_at", [0, 0x400000])
def test_the_build_id_of_an_image_in_memory_is_read(linked_at: int) -> None:
    base = 0x7F0000
    memory = bytes(base) + program(linked_at=linked_at)

    assert headers.build_id(reader(memory), base) == "ab" * 20


def test_a_file_without_a_build_id_has_none() -> None:
    data = elf_file(FORMS[0], FileType.SHARED, [Part(PT_NOTE, 0, FORMS[0].note(b"GNU", 1, b"abi"))])

    assert headers.build_id(reader(data)) is None


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\n" * 9, b"\x7fELF" + bytes(100)])
def test_a_file_that_is_not_elf_is_rejected_and_has_no_build_id(data: bytes) -> None:
    with pytest.raises(NotElf):
        headers.read_header(reader(data))
    assert headers.build_id(reader(data)) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (FORMS[0].header(FileType.CORE, 0)[:40], "header is cut short"),
        (FORMS[0].header(FileType.CORE, 5), "table of segments is cut short"),
        (FORMS[0].header(FileType.CORE, MANY), "number of segments is missing"),
        (FORMS[0].header(FileType.CORE, MANY, sections=1 << 60), "number of segments is missing"),
        (FORMS[0].header(FileType.CORE, 1, table=(1 << 64) - 1), "table of segments is cut short"),
        (FORMS[0].header(FileType.CORE, 1).replace(b"\x38\0\x01\0", b"\x39\0\x01\0"), "unknown size"),
    ],
)
def test_a_broken_file_is_rejected_with_the_reason(
    memory_file: Callable[[bytes], int], data: bytes, reason: str
) -> None:
    with pytest.raises(NotElf, match=reason):
        headers.read_header(headers.file_reader(memory_file(data)))


def test_a_huge_number_of_segments_is_rejected_before_reading_them() -> None:
    form = FORMS[0]
    header = form.header(FileType.CORE, MANY, sections=form.header_size)
    meter = Meter(header + bytes(44) + form.pack("I", 0xFFFFFFFF))

    with pytest.raises(NotElf, match="it claims 4294967295 segments"):
        headers.read_header(meter)
    assert meter.asked < LITTLE


def test_the_bytes_read_for_notes_are_limited() -> None:
    form = FORMS[0]
    row = form.row(Segment(PT_NOTE, 4, 0, 0, 1 << 40))
    meter = Meter(form.header(FileType.CORE, 0xFFFE) + row * 0xFFFE)
    header = headers.read_header(meter)
    meter.asked = 0

    for _ in headers.read_notes(header, lambda position, size: meter(position, size)[:1]):
        pass

    assert meter.asked <= 64 << 20


@pytest.mark.parametrize(("segments", "size"), [(16, 64 << 20), (0xFFFE, 16)])
def test_little_is_read_to_find_the_build_id_of_a_program(segments: int, size: int) -> None:
    form = FORMS[0]
    meter = Meter(form.header(FileType.SHARED, segments) + form.row(Segment(PT_NOTE, 4, 0, 0, size)) * segments)

    assert headers.build_id(meter) is None
    assert meter.asked < LITTLE


def test_the_number_of_note_segments_read_is_limited() -> None:
    form = FORMS[0]
    data = form.header(FileType.CORE, 0xFFFE) + form.row(Segment(PT_NOTE, 4, 0, 0, 0)) * 0xFFFE
    asked: list[int] = []

    list(headers.read_notes(headers.read_header(reader(data)), lambda position, _: asked.append(position) or b""))  # type: ignore[func-returns-value]

    assert len(asked) < 100


@pytest.mark.parametrize("position", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -1])
def test_reading_at_an_impossible_position_is_empty(memory_file: Callable[[bytes], int], position: int) -> None:
    assert headers.file_reader(memory_file(b"data"))(position, 100) == b""


def test_a_file_is_read_without_moving_its_position(memory_file: Callable[[bytes], int]) -> None:
    read = headers.file_reader(memory_file(b"0123456789"))

    assert (read(2, 3), read(8, 9), read(2, 3)) == (b"234", b"89", b"234")


@given(st.binary(max_size=300), st.sampled_from(FORMS))
def test_junk_behind_the_magic_is_read_or_rejected(junk: bytes, form: Form) -> None:
    data = form.header(FileType.CORE, 0)[:16] + junk
    try:
        header = headers.read_header(reader(data))
    except NotElf:
        return
    list(headers.read_notes(header, reader(data)))


@pytest.mark.parametrize("form", FORMS)
def test_the_build_id_is_found_in_the_first_page_alone(form: Form) -> None:
    page = program(form)[:4096]
    assert headers.build_id_in(page) == headers.build_id(lambda offset, size: page[offset : offset + size])


def test_a_page_without_the_note_has_no_build_id() -> None:
    assert headers.build_id_in(b"\x7fELF" + bytes(4092)) is None
    assert headers.build_id_in(b"") is None


def test_a_hole_in_place_of_notes_is_not_read_as_millions_of_notes() -> None:
    hole = bytes(64 << 20)

    assert list(headers.parse_notes(hole, "<")) == []


def test_the_number_of_notes_is_limited() -> None:
    tiny = struct.pack("<III", 0, 0, 1)

    assert sum(1 for _ in headers.parse_notes(tiny * (1 << 19), "<")) == 1 << 18
