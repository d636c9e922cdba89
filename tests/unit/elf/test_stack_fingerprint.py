"""Sites: equal for the same signal and the same code on the stack, wherever objects were loaded."""

import struct

import pytest

from astbtd.elf.core_memory import FileMapping
from astbtd.elf.stack_fingerprint import compute_site
from astbtd.model.crash import Signal
from tests.support.builders import ABORT, SEGV

X86_64, AARCH64, RISCV = 62, 183, 243
PLACES = {X86_64: (16, 19), AARCH64: (32, 31)}
STACK = 0x7FFF0000


def site(
    *stack: int, counter: int = 0x400010, base: int = 0, signal: Signal | None = SEGV, machine: int = X86_64
) -> str | None:
    """Return the site of a thread whose objects were loaded `base` bytes higher; addresses are given for base 0."""
    code = [
        FileMapping(0x400000 + base, 0x500000 + base, 0x1000, "/asterisk"),
        FileMapping(0x800000 + base, 0x900000 + base, 0, "/libc"),
    ]
    registers = [0] * 34
    for place, value in zip(PLACES.get(machine, (0, 1)), (counter + base, STACK), strict=True):
        registers[place] = value
    words = [word + base if 0x400000 <= word < 0x900000 else word for word in stack]
    memory = {STACK: struct.pack(f"<{len(words)}Q", *words)}
    status = bytes(112) + struct.pack("<34Q", *registers)
    return compute_site(machine, status, signal, code, lambda at, size: memory.get(at, b"")[:size])


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_the_site_does_not_depend_on_load_addresses(machine: int) -> None:
    assert site(0x400100, 7, 0x800200, machine=machine) == site(0x400100, 7, 0x800200, base=0x10000000, machine=machine)
    assert site(0x400100, machine=machine) is not None


def test_the_site_does_not_depend_on_data_on_the_stack() -> None:
    assert site(0x400100, 1, 2, 0x800200) == site(0x400100, 99, 0x800200)


@pytest.mark.parametrize(
    "other",
    [
        site(0x400100, 0x800208),
        site(0x400108, 0x800200),
        site(0x800200, 0x400100),
        site(0x400100, 0x800200, counter=0x400018),
        site(0x400100, 0x800200, signal=ABORT),
        site(0x400100),
    ],
)
def test_another_crash_has_another_site(other: str | None) -> None:
    assert other != site(0x400100, 0x800200)


@pytest.mark.parametrize(
    "unknown",
    [
        site(0x400100, machine=RISCV),
        site(0x400100, signal=None),
        site(1, 2, 3),
        site(),
    ],
)
def test_without_enough_code_addresses_there_is_no_site(unknown: str | None) -> None:
    assert unknown is None


def test_a_truncated_note_gives_no_site() -> None:
    assert compute_site(X86_64, b"", SEGV, [], lambda _at, _size: b"") is None
