"""Fingerprints of stacks: equal for the same signal and the same code on the stack, wherever objects were loaded."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from astbtd.elf.code_map import CodeLocation
from astbtd.elf.stack_fingerprint import compute_fingerprint
from astbtd.model.crash import Signal
from tests.support.builders import ABORT, SEGV

X86_64, AARCH64, RISCV = 62, 183, 243
PLACES = {X86_64: (16, 19), AARCH64: (32, 31)}
STACK = 0x7FFF0000


def fingerprint(
    *stack: int,
    counter: int = 0x400010,
    base: int = 0,
    signal: Signal | None = SEGV,
    machine: int = X86_64,
    build_ids: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Return the fingerprint of a thread whose objects were loaded `base` bytes higher; addresses are for base 0."""
    objects = {"/asterisk": (0x400000 + base, 0x500000 + base), "/libc": (0x800000 + base, 0x900000 + base)}

    def find_code(address: int) -> CodeLocation | None:
        for path, (start, end) in objects.items():
            if start <= address < end:
                return CodeLocation(path, build_ids.get(path), address - start)
        return None

    registers = [0] * 34
    for place, value in zip(PLACES.get(machine, (0, 1)), (counter + base, STACK), strict=True):
        registers[place] = value
    words = [word + base if 0x400000 <= word < 0x900000 else word for word in stack]
    memory = {STACK: struct.pack(f"<{len(words)}Q", *words)}
    status = bytes(112) + struct.pack("<34Q", *registers)
    return compute_fingerprint(machine, status, signal, find_code, lambda at, size: memory.get(at, b"")[:size])


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_the_fingerprint_does_not_depend_on_load_addresses(machine: int) -> None:
    assert fingerprint(0x400100, 7, 0x800200, machine=machine) == fingerprint(
        0x400100, 7, 0x800200, base=0x10000000, machine=machine
    )
    assert fingerprint(0x400100, machine=machine) is not None


def test_the_fingerprint_does_not_depend_on_the_signatures_of_return_addresses() -> None:
    signed = [0x00AB_0000_0000_0000 | 0x400100, 0x7F11_0000_0000_0000 | 0x800200]

    assert fingerprint(*signed, machine=AARCH64) == fingerprint(0x400100, 0x800200, machine=AARCH64)
    assert fingerprint(*signed, machine=X86_64) != fingerprint(0x400100, 0x800200, machine=X86_64)


def test_the_fingerprint_does_not_depend_on_data_on_the_stack() -> None:
    assert fingerprint(0x400100, 1, 2, 0x800200) == fingerprint(0x400100, 99, 0x800200)


@pytest.mark.parametrize(
    "other",
    [
        fingerprint(0x400100, 0x800208),
        fingerprint(0x400108, 0x800200),
        fingerprint(0x800200, 0x400100),
        fingerprint(0x400100, 0x800200, counter=0x400018),
        fingerprint(0x400100, 0x800200, signal=ABORT),
        fingerprint(0x400100),
        fingerprint(0x400100, 0x800200, build_ids={"/libc": "ab"}),
    ],
)
def test_another_crash_has_another_fingerprint(other: str | None) -> None:
    assert other != fingerprint(0x400100, 0x800200)


@pytest.mark.parametrize(
    "unknown",
    [
        fingerprint(0x400100, machine=RISCV),
        fingerprint(0x400100, signal=None),
        fingerprint(1, 2, 3),
        fingerprint(),
    ],
)
def test_without_enough_code_addresses_there_is_no_fingerprint(unknown: str | None) -> None:
    assert unknown is None


def test_a_truncated_note_gives_no_fingerprint() -> None:
    assert compute_fingerprint(X86_64, b"", SEGV, lambda _: None, lambda _at, _size: b"") is None
