"""What a getter returns, read off its instructions: a stripped program exports the function alone.

x86-64 only. Each does nothing but load one thing and return it, in any build; where it lies is told as the function's
own address is given.
"""

from __future__ import annotations

import re

LONGEST = 32
"""Bytes of such a function."""

_RELATIVE_ADDRESS, _RELATIVE_VALUE = b"\x48\x8d\x05", b"\x8b\x05"  # lea OFFSET(%rip),%rax; mov OFFSET(%rip),%eax
_FIXED_ADDRESS = b"\xb8"  # mov $ADDRESS,%eax, in a program that is loaded where it was linked to
_LOADS = b"|".join(map(re.escape, (_RELATIVE_ADDRESS, _RELATIVE_VALUE, _FIXED_ADDRESS)))
_GETTER = re.compile(
    rb"(?:\xf3\x0f\x1e\xfa)?(?:\x55\x48\x89\xe5)?"  # endbr64; push %rbp; mov %rsp,%rbp
    rb"(?P<load>" + _LOADS + rb")(?P<operand>.{4})"
    rb"(?:\x5d|\xc9)?\xc3",  # pop %rbp or leave; ret
    re.DOTALL,
)


def address_returned(code: bytes, start: int) -> int | None:
    """The address that the function with this code at `start` returns, as that of a text; None if it is no getter."""
    return _loaded(code, start, _RELATIVE_ADDRESS, _FIXED_ADDRESS)


def place_of_value_returned(code: bytes, start: int) -> int | None:
    """Where the int lies that the function with this code at `start` returns; None if it is no getter of one."""
    return _loaded(code, start, _RELATIVE_VALUE)


def _loaded(code: bytes, start: int, *loads: bytes) -> int | None:
    found = _GETTER.match(code)
    if not found or found["load"] not in loads:
        return None
    if found["load"] == _FIXED_ADDRESS:
        return int.from_bytes(found["operand"], "little")
    return start + found.end("operand") + int.from_bytes(found["operand"], "little", signed=True)
