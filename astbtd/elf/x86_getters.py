"""Decode x86-64 getter functions: a stripped program exports the function, but not the variable that it returns.

Such a function only loads one value and returns it, in any build. The address of the variable is computed from the
address of the function. Used by the script inside gdb as well: keep it valid for Python 3.7.
"""

from __future__ import annotations

import re

MAX_GETTER_BYTES = 32
"""The size of such a function at most."""

_RELATIVE_ADDRESS, _RELATIVE_VALUE = b"\x48\x8d\x05", b"\x8b\x05"  # lea OFFSET(%rip),%rax; mov OFFSET(%rip),%eax
_FIXED_ADDRESS = b"\xb8"  # mov $ADDRESS,%eax, in a program that is loaded at its link-time address
_LOADS = b"|".join(map(re.escape, (_RELATIVE_ADDRESS, _RELATIVE_VALUE, _FIXED_ADDRESS)))
_GETTER = re.compile(
    rb"(?:\xf3\x0f\x1e\xfa)?(?:\x55\x48\x89\xe5)?"  # endbr64; push %rbp; mov %rsp,%rbp
    rb"(?P<load>" + _LOADS + rb")(?P<operand>.{4})"
    rb"(?:\x5d|\xc9)?\xc3",  # pop %rbp or leave; ret
    re.DOTALL,
)


def returned_address(code: bytes, start: int) -> int | None:
    """Return the address that a getter returns, such as that of a string; None if the code is not such a getter.

    `code` is the code of the function at the address `start`.
    """
    return _decode_operand(code, start, _RELATIVE_ADDRESS, _FIXED_ADDRESS)


def returned_value_address(code: bytes, start: int) -> int | None:
    """Return the address of the int whose value a getter returns; None if the code is not such a getter."""
    return _decode_operand(code, start, _RELATIVE_VALUE)


def _decode_operand(code: bytes, start: int, *loads: bytes) -> int | None:
    found = _GETTER.match(code)
    if not found or found["load"] not in loads:
        return None
    if found["load"] == _FIXED_ADDRESS:
        return int.from_bytes(found["operand"], "little")
    # The offset is relative to the next instruction.
    return start + found.end("operand") + int.from_bytes(found["operand"], "little", signed=True)
