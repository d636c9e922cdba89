"""Decode getter functions of any supported machine: which address they return, or the value at which address.

A stripped program exports such functions, but not the variables that they return. Used by the script inside gdb as
well: keep it valid for Python 3.7.
"""

from __future__ import annotations

from astbtd.elf import aarch64_getters, x86_getters

MAX_GETTER_BYTES = max(x86_getters.MAX_GETTER_BYTES, aarch64_getters.MAX_GETTER_BYTES)
"""How many bytes of code to read from the start of a function."""

_EM_X86_64, _EM_AARCH64 = 62, 183
MACHINES = {"i386:x86-64": _EM_X86_64, "aarch64": _EM_AARCH64}
"""e_machine by gdb's name of the architecture."""


def returned_address(machine: int, code: bytes, start: int) -> int | None:
    """Return the address that a getter returns, such as that of a string; None if the code is not such a getter.

    `machine` is e_machine; `code` is the code of the function at the address `start`.
    """
    if machine == _EM_X86_64:
        return x86_getters.returned_address(code, start)
    if machine == _EM_AARCH64:
        return aarch64_getters.returned_address(code, start)
    return None


def returned_value_address(machine: int, code: bytes, start: int) -> int | None:
    """Return the address of the int whose value a getter returns; None if the code is not such a getter."""
    if machine == _EM_X86_64:
        return x86_getters.returned_value_address(code, start)
    if machine == _EM_AARCH64:
        return aarch64_getters.returned_value_address(code, start)
    return None
