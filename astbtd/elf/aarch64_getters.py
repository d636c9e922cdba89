"""Decode aarch64 getter functions, as `x86_getters` does those of x86-64.

Such a function computes an address relative to itself (adrp or adr, add), may load an int from there (ldr), and
returns. Encodings: Arm Architecture Reference Manual for A-profile, chapter C6. Keep it valid for Python 3.7.
"""

from __future__ import annotations

import struct

MAX_GETTER_BYTES = 40
"""The size of such a function at most: a frame, three instructions, and protection of the return address."""

_RETURNS = (0xD65F03C0, 0xD65F0BFF)  # ret; retaa
_FRAME = (0xA9BF7BFD, 0x910003FD, 0xA8C17BFD)  # stp x29, x30, [sp, #-16]!; mov x29, sp; ldp x29, x30, [sp], #16
_HINT, _HINT_MASK = 0xD503201F, 0xFFFFF01F  # nop, bti, paciasp, autiasp
_ADR, _ADRP, _ADR_MASK = 0x10000000, 0x90000000, 0x9F000000
_ADD, _ADD_MASK = 0x91000000, 0xFFC00000  # add Xd, Xn, #imm
_LOAD, _LOAD_MASK = 0xB9400000, 0xFFC00000  # ldr Wt, [Xn, #imm]
_PAGE_BITS = 12
_RELATIVE_BITS = 21
_RESULT = 0  # the register x0, or w0


def returned_address(code: bytes, start: int) -> int | None:
    """Return the address that a getter returns, such as that of a string; None if the code is not such a getter.

    `code` is the code of the function at the address `start`.
    """
    getter = _run(code, start)
    return None if getter is None else getter.addresses.get(_RESULT)


def returned_value_address(code: bytes, start: int) -> int | None:
    """Return the address of the int whose value a getter returns; None if the code is not such a getter."""
    getter = _run(code, start)
    return None if getter is None else getter.loaded.get(_RESULT)


class _Getter:
    """The registers of a getter: `addresses` by register, and `loaded`, from which address an int was loaded."""

    def __init__(self) -> None:
        self.addresses: dict[int, int] = {}
        self.loaded: dict[int, int] = {}

    def execute(self, instruction: int, address: int) -> bool:
        """Execute the instruction at `address`. Return False if no getter has such an instruction."""
        target = instruction & 31
        operation = instruction & _ADR_MASK
        if operation in (_ADR, _ADRP):
            self._set_address(target, _relative_address(instruction, address))
            return True
        base = self.addresses.get(instruction >> 5 & 31)
        immediate = instruction >> 10 & 0xFFF
        if base is None:
            return False
        if instruction & _ADD_MASK == _ADD:
            self._set_address(target, base + immediate)
            return True
        if instruction & _LOAD_MASK == _LOAD:
            self.addresses.pop(target, None)
            self.loaded[target] = base + immediate * 4
            return True
        return False

    def _set_address(self, register: int, address: int) -> None:
        self.loaded.pop(register, None)
        self.addresses[register] = address


def _run(code: bytes, start: int) -> _Getter | None:
    """Execute a function up to its return. Return None if it is not a getter."""
    getter = _Getter()
    whole = code[: min(len(code), MAX_GETTER_BYTES) // 4 * 4]
    for index, (instruction,) in enumerate(struct.iter_unpack("<I", whole)):
        if instruction in _RETURNS:
            return getter
        if instruction in _FRAME or instruction & _HINT_MASK == _HINT:
            continue
        if not getter.execute(instruction, start + 4 * index):
            return None
    return None


def _relative_address(instruction: int, address: int) -> int:
    """Return the address that adr or adrp computes: the offset is in bytes or in pages."""
    offset = (instruction >> 5 & 0x7FFFF) << 2 | instruction >> 29 & 3
    offset -= (offset >> (_RELATIVE_BITS - 1)) << _RELATIVE_BITS  # the highest bit is the sign
    if instruction & _ADR_MASK == _ADR:
        return address + offset
    return (address >> _PAGE_BITS << _PAGE_BITS) + (offset << _PAGE_BITS)
