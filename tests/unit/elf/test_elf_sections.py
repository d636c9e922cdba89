"""Sections, exported symbols and the texts that functions return, of programs as gcc makes them and of broken ones."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import headers
from astbtd.elf.elf_sections import Sections, read_sections
from astbtd.elf.headers import NotElf, Read
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
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sections]:
    """A program, optimised or not, stripped or not, at a fixed address or not."""
    directory = tmp_path_factory.mktemp("program")
    (directory / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-rdynamic", *request.param, "-o", "a", "a.c"], cwd=directory, check=True)
    with opened(directory / "a") as read:
        yield read_sections(read)


def test_the_text_that_a_function_returns(program: Sections) -> None:
    assert program.text_returned_by(b"ast_get_build_opts_all") == "DONT_OPTIMIZE, OPTIONAL_API"


def test_a_name_that_ends_like_another_is_not_taken_for_it(program: Sections) -> None:
    assert program.text_returned_by(b"ast_get_version") == "22.10.0"


def test_a_function_that_is_not_there_or_does_more_returns_nothing_known(program: Sections) -> None:
    assert program.text_returned_by(b"ast_nothing") is None
    assert program.text_returned_by(b"ast_counting") is None


def test_sections_by_name(program: Sections) -> None:
    assert {b".text", b".dynsym", b".rodata"} <= program.names
    text = program.named(b".text")
    assert text is not None
    assert len(program.content(text)) == text.size


def test_what_the_file_does_not_hold_is_nothing(program: Sections) -> None:
    assert program.at(0, 16) == b""
    assert program.text(1 << 60) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_file_without_sections_has_none(form: Form) -> None:
    data = form.header(3, 0)

    assert read_sections(lambda position, size: data[position : position + size]).all == ()


def test_text_is_no_program() -> None:
    with pytest.raises(NotElf):
        read_sections(lambda _, size: b"#!/bin/sh\n"[:size])


@given(junk=st.binary(max_size=400), cut=st.integers(0, 63))
def test_junk_behind_a_header_raises_nothing_else(junk: bytes, cut: int) -> None:
    header = Form().header(3, 0)
    data = header[:cut] + junk

    try:
        found = read_sections(lambda position, size: data[position : position + size])
        found.text_returned_by(b"ast_get_version")
    except NotElf:
        pass
