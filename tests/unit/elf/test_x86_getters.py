"""What a getter returns is read off the code that a compiler makes of it, in whatever build."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import headers
from astbtd.elf.elf_sections import Sections, read_sections
from astbtd.elf.x86_getters import LONGEST, address_returned, place_of_value_returned

SOURCE = """
static const char version[] = "22.10.0";
const char *text(void) { return version; }
int counter = 1234567;
int value(void) { return counter; }
int constant(void) { return 7; }
int computed(void) { return counter + 1; }
void nothing(void) { }
int main(void) { return value() + constant() + computed() + text()[0]; }
"""
BUILDS = [(level, kind) for level in ("-O0", "-O2") for kind in ("-pie", "-no-pie", "-fcf-protection=none")]


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sections:
    """A program with getters."""
    directory = tmp_path_factory.mktemp("program")
    (directory / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-rdynamic", *request.param, "-o", "a", "a.c"], cwd=directory, check=True)
    return opened(directory / "a")


def opened(path: Path) -> Sections:
    return read_sections(headers.file_reader(os.open(path, os.O_RDONLY)))


def code_of(function: str, program: Sections) -> tuple[bytes, int]:
    start = program.symbol(function.encode())
    assert start is not None
    return program.at(start, LONGEST), start


def test_an_address(built: Sections) -> None:
    address = address_returned(*code_of("text", built))

    assert address is not None
    assert built.text(address) == "22.10.0"


def test_a_value_that_lies_somewhere(built: Sections) -> None:
    place = place_of_value_returned(*code_of("value", built))

    assert place is not None
    assert int.from_bytes(built.at(place, 4), "little") == 1234567


def test_neither_is_taken_for_the_other(built: Sections) -> None:
    assert address_returned(*code_of("value", built)) is None
    assert place_of_value_returned(*code_of("text", built)) is None


@pytest.mark.parametrize("function", ["computed", "nothing", "main"])
def test_what_does_more_or_less_is_no_getter(built: Sections, function: str) -> None:
    code, start = code_of(function, built)

    assert (address_returned(code, start), place_of_value_returned(code, start)) == (None, None)


@given(st.binary(max_size=LONGEST), st.integers(0, 1 << 47))
def test_any_bytes_are_judged(code: bytes, start: int) -> None:
    for returned in (address_returned(code, start), place_of_value_returned(code, start)):
        assert returned is None or re.search(rb"\xc3", code)
