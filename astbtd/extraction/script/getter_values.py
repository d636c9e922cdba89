"""What Asterisk's getters return, of a program of which there is nothing but a core and the names it exports."""

from __future__ import annotations

import gdb

from astbtd.elf import x86_getters
from astbtd.extraction.script.core_values import memory, number, text_at


def text_returned_by(function: str) -> str | None:
    """The static text that a function returns; None where it cannot be told."""
    start, code = _code(function)
    address = x86_getters.address_returned(code, start)
    try:
        return text_at(address) if address is not None else None
    except gdb.error:
        return None


def number_returned_by(function: str) -> int | None:
    """The int that a function returns; None where it cannot be told."""
    start, code = _code(function)
    place = x86_getters.place_of_value_returned(code, start)
    return number(f"*(int *) {place}") if place is not None else None


def _code(function: str) -> tuple[int, bytes]:
    """Where a function starts, and its code; none where that is not known or not in the core."""
    start = number(f"(unsigned long) &{function}")
    try:
        return start or 0, memory(start, x86_getters.LONGEST) if start else b""
    except gdb.error:
        return 0, b""
