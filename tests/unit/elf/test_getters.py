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
from astbtd.elf.getters import MACHINES, MAX_GETTER_BYTES, returned_address, returned_value_address
from tests.support.compilers import compiler_for

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
RISCV = 243
AARCH64_INSTRUCTIONS = [0x90000000, 0x10000020, 0x91004000, 0xB9400400, 0xD503201F, 0xD65F03C0]
"""adrp, adr, add, ldr, nop and ret, all with register 0."""
OPTIONS = {
    "x86_64": (("-pie",), ("-no-pie",), ("-fcf-protection=none",)),
    "aarch64": (
        *(("-pie",), ("-no-pie",), ("-mbranch-protection=standard",), ("-mno-omit-leaf-frame-pointer",)),
        ("-mbranch-protection=pac-ret+leaf", "-mno-omit-leaf-frame-pointer"),
        ("-mcmodel=tiny",),
    ),
}
BUILDS = [
    (machine, (level, *options)) for machine in OPTIONS for level in ("-O0", "-O2") for options in OPTIONS[machine]
]


@pytest.fixture(scope="module", params=BUILDS, ids=str)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ElfSections:
    """A program with getters, for any machine."""
    machine, options = request.param
    directory = tmp_path_factory.mktemp("program")
    (directory / "a.c").write_text(SOURCE)
    command = [compiler_for(machine), "-rdynamic", *options, "-o", "a", "a.c"]
    subprocess.run(command, cwd=directory, check=True)
    return opened(directory / "a")


def opened(path: Path) -> ElfSections:
    return read_sections(headers.file_reader(os.open(path, os.O_RDONLY)))


def code_of(function: str, program: ElfSections) -> tuple[int, bytes, int]:
    start = program.symbol_address(function.encode())
    assert start is not None
    return program.machine, program.read_at(start, MAX_GETTER_BYTES), start


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
    code = code_of(function, built)

    assert (returned_address(*code), returned_value_address(*code)) == (None, None)


def test_the_code_of_an_unknown_machine_is_not_decoded(built: ElfSections) -> None:
    _, code, start = code_of("text", built)

    assert returned_address(RISCV, code, start) is None
    assert returned_value_address(RISCV, code, start) is None


@pytest.mark.parametrize(("machine", "end"), [(62, rb"\xc3"), (183, rb"\xd6")])
@given(code=st.binary(max_size=MAX_GETTER_BYTES), start=st.integers(0, 1 << 47))
def test_any_bytes_are_decoded_or_rejected(machine: int, end: bytes, code: bytes, start: int) -> None:
    for returned in (returned_address(machine, code, start), returned_value_address(machine, code, start)):
        assert returned is None or re.search(end, code)


@given(st.lists(st.sampled_from(AARCH64_INSTRUCTIONS), max_size=12))
def test_the_result_of_a_getter_is_an_address_or_a_value(instructions: list[int]) -> None:
    code = (MACHINES["aarch64"], b"".join(each.to_bytes(4, "little") for each in instructions), 0x400000)

    assert None in (returned_address(*code), returned_value_address(*code))
