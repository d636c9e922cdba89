"""What Asterisk's getters return, read off their instructions: a stripped program exports the function alone.

x86-64 only. Each does nothing but load one thing relative to the instruction pointer and return it, in any build.
"""

from __future__ import annotations

import re

import gdb

from astbtd.extraction.inside_gdb.memory import memory, number, text_at

_LONGEST = 32  # bytes of such a function
_ADDRESS, _VALUE = b"\x48\x8d\x05", b"\x8b\x05"  # lea OFFSET(%rip),%rax; mov OFFSET(%rip),%eax
_GETTER = re.compile(
    rb"(?:\xf3\x0f\x1e\xfa)?(?:\x55\x48\x89\xe5)?"  # endbr64; push %rbp; mov %rsp,%rbp
    rb"(?P<load>" + re.escape(_ADDRESS) + rb"|" + re.escape(_VALUE) + rb")(?P<offset>.{4})"
    rb"(?:\x5d|\xc9)?\xc3",  # pop %rbp or leave; ret
    re.DOTALL,
)


def text_returned_by(function: str) -> str | None:
    """The static text that a function returns; None where it cannot be told."""
    address = _loaded_by(function, _ADDRESS)
    try:
        return text_at(address) if address is not None else None
    except gdb.error:
        return None


def number_returned_by(function: str) -> int | None:
    """The int that a function returns; None where it cannot be told."""
    address = _loaded_by(function, _VALUE)
    return number(f"*(int *) {address}") if address is not None else None


def _loaded_by(function: str, load: bytes) -> int | None:
    start = number(f"(unsigned long) &{function}")
    if start is None:
        return None
    try:
        found = _GETTER.match(memory(start, _LONGEST))
    except gdb.error:
        return None
    if not found or found["load"] != load:
        return None
    return start + found.end("offset") + int.from_bytes(found["offset"], "little", signed=True)
