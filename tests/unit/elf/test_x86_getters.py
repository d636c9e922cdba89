"""The value of a getter function is found in its compiled code, with any compiler options."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import headers
from astbtd.elf.elf_sections import ElfSections, read_sections
from astbtd.elf.x86_getters import MAX_GETTER_BYTES, returned_address, returned_value_address

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
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ElfSections:
    """A program with getters."""
    directory = tmp_path_factory.mktemp("program")
    (directory / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-rdynamic", *request.param, "-o", "a", "a.c"], cwd=directory, check=True)
    return opened(directory / "a")


def opened(path: Path) -> ElfSections:
    return read_sections(headers.file_reader(os.open(path, os.O_RDONLY)))


def code_of(function: str, program: ElfSections) -> tuple[bytes, int]:
    start = program.symbol_address(function.encode())
    assert start is not None
    return program.read_at(start, MAX_GETTER_BYTES), start


def test_a_returned_address_is_decoded(built: ElfSections) -> None:
    address = returned_address(*code_of("text", built))

    assert address is not None
    assert built.text_at(address) == "22.10.0"


def test_the_address_of_a_returned_value_is_decoded(built: ElfSections) -> None:
    place = returned_value_address(*code_of("value", built))

    assert place is not None
    assert int.from_bytes(built.read_at(place, 4), "little") == 1234567


def test_addresses_and_values_are_not_confused(built: ElfSections) -> None:
    assert returned_address(*code_of("value", built)) is None
    assert returned_value_address(*code_of("text", built)) is None


@pytest.mark.parametrize("function", ["computed", "nothing", "main"])
def test_other_functions_are_not_getters(built: ElfSections, function: str) -> None:
    code, start = code_of(function, built)

    assert (returned_address(code, start), returned_value_address(code, start)) == (None, None)


@given(st.binary(max_size=MAX_GETTER_BYTES), st.integers(0, 1 << 47))
def test_any_bytes_are_decoded_or_rejected(code: bytes, start: int) -> None:
    for returned in (returned_address(code, start), returned_value_address(code, start)):
        assert returned is None or re.search(rb"\xc3", code)
