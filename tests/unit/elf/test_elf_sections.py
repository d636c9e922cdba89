"""Sections, exported symbols and returned strings of programs compiled by gcc and of broken ones."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import headers
from astbtd.elf.elf_sections import ElfSections, read_sections
from astbtd.elf.headers import FileType, NotElf, Read
from tests.support.builders import FORMS, Form

SOURCE = """
static const char options[] = "DONT_OPTIMIZE, OPTIONAL_API";
const char *ast_get_build_opts_all(void) { return options; }
const char *my_ast_get_version(void) { return "another"; }
const char *ast_get_version(void) { return "22.10.0"; }
int ast_counted;
const char *ast_counting(void) { ast_counted++; return options; }
int main(void) { return ast_get_version() == options; }
"""


@contextmanager
def opened(path: Path) -> Iterator[Read]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield headers.file_reader(descriptor)
    finally:
        os.close(descriptor)


@pytest.fixture(
    scope="module", params=[("-O0",), ("-O2",), ("-O0", "-no-pie"), ("-O2", "-no-pie"), ("-O2", "-s"), ("-O0", "-s")]
)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElfSections]:
    """A program, optimised or not, stripped or not, at a fixed address or not."""
    directory = tmp_path_factory.mktemp("program")
    (directory / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-rdynamic", *request.param, "-o", "a", "a.c"], cwd=directory, check=True)
    with opened(directory / "a") as read:
        yield read_sections(read)


def test_the_string_that_a_function_returns_is_read(program: ElfSections) -> None:
    assert program.returned_text(b"ast_get_build_opts_all") == "DONT_OPTIMIZE, OPTIONAL_API"


def test_a_name_that_is_the_end_of_another_is_not_mistaken_for_it(program: ElfSections) -> None:
    assert program.returned_text(b"ast_get_version") == "22.10.0"


def test_a_missing_function_or_one_that_does_more_returns_nothing(program: ElfSections) -> None:
    assert program.returned_text(b"ast_nothing") is None
    assert program.returned_text(b"ast_counting") is None


def test_sections_are_found_by_name(program: ElfSections) -> None:
    assert {b".text", b".dynsym", b".rodata"} <= program.names
    text = program.find(b".text")
    assert text is not None
    assert len(program.content(text)) == text.size


def test_addresses_outside_the_file_are_empty(program: ElfSections) -> None:
    assert program.read_at(0, 16) == b""
    assert program.text_at(1 << 60) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_file_without_sections_has_none(form: Form) -> None:
    data = form.header(3, 0)

    assert read_sections(lambda position, size: data[position : position + size]).all == ()


def test_a_text_file_is_rejected() -> None:
    with pytest.raises(NotElf):
        read_sections(lambda _, size: b"#!/bin/sh\n"[:size])


@pytest.mark.parametrize("end", [b"", b"\0"])
def test_sections_whose_names_lie_in_one_another_take_little_memory(end: bytes) -> None:
    form, count, names = FORMS[0], 1000, b"a" * (1 << 20)
    header = form.header(FileType.SHARED, 0, sections=form.header_size)
    header = header[:58] + form.pack("HHH", 64, count, 0)
    row = form.pack("IIPPPPIIPP", 0, 3, 0, 0, form.header_size + 64 * count, len(names) + len(end), 0, 0, 0, 0)
    data = header + row * count + names + end

    sections = read_sections(lambda position, size: data[position : position + size])

    assert len(sections.all) == count
    assert sum(len(section.name) for section in sections.all) < len(names)


@given(junk=st.binary(max_size=400), cut=st.integers(0, 63))
def test_junk_behind_a_header_is_read_or_rejected(junk: bytes, cut: int) -> None:
    header = Form().header(3, 0)
    data = header[:cut] + junk

    try:
        found = read_sections(lambda position, size: data[position : position + size])
        found.returned_text(b"ast_get_version")
    except NotElf:
        pass


def test_a_program_that_exports_its_functions_has_names_without_symbols(program: ElfSections) -> None:
    assert program.exports_functions()


def test_a_program_that_exports_nothing_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-s", "-o", "a", "a.c"], cwd=tmp_path, check=True)

    with opened(tmp_path / "a") as read:
        assert not read_sections(read).exports_functions()
