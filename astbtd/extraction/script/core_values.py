"""Reads values out of a core: by expression, by dotted path through structures, and texts of bounded length.

The memory may be corrupt, and somebody's on the network may have written it.
"""

from __future__ import annotations

import re
from functools import lru_cache

import gdb

from astbtd.extraction.script.job import run

LONGEST_TEXT = 1024
_VARIABLE = re.compile(r"&(\w+)")
_ADDRESS = re.compile(r" is (?:static storage at address|a function at address|at) 0x([0-9a-f]+)")
_PAGE = 4096


class NotThere(Exception):
    """What a part of the report is made from is not in this core; the message says what is missing and why."""


class NoDebugInformation(NotThere):
    """The program was stripped of what describes a structure or a variable."""

    def __init__(self, what: str) -> None:
        super().__init__(f"this asterisk has no debug information about {what}")


def number(expression: str) -> int | None:
    """The value of an expression, which may name what an executable without debug information still exports.

    No type is known of that: names stand behind `&`, and what they point to is cast. gdb is told the addresses, since
    it would look for the names' types, in vain, for milliseconds.
    """
    addresses = {name: address_of(name) for name in _VARIABLE.findall(expression)}
    if None in addresses.values():
        return None
    try:
        return int(gdb.parse_and_eval(_VARIABLE.sub(lambda name: str(addresses[name[1]]), expression)))
    except (gdb.error, OverflowError, ValueError):
        return None


@lru_cache(maxsize=256)
def address_of(name: str) -> int | None:
    """Where the variable or function of that name is; None if there is none."""
    found = _ADDRESS.search(run(f"info address {name}"))
    return int(found[1], 16) if found else None


def text(expression: str) -> str | None:
    """The text that an expression points to."""
    address = number(f"(unsigned long) ({expression})")
    if address is None:
        return None
    try:
        return text_at(address)
    except gdb.error:
        return None


def text_at(address: int) -> str:
    """The text at an address, up to its NUL; `...` ends it where that is not found in LONGEST_TEXT bytes or in memory.

    Raises gdb.MemoryError where nothing is.
    """
    data = b""
    while len(data) < LONGEST_TEXT and b"\0" not in data:
        start = address + len(data)
        try:
            data += bytes(memory(start, min(LONGEST_TEXT - len(data), _PAGE - start % _PAGE)))
        except gdb.MemoryError:
            if not data:
                raise
            break
    characters, end, _ = data.partition(b"\0")
    return characters.decode("utf-8", "backslashreplace") + ("" if end else "...")


def memory(address: int, size: int) -> bytes:
    """The bytes at an address. Raises gdb.MemoryError."""
    return bytes(gdb.selected_inferior().read_memory(address, size))


def structure(name: str) -> gdb.Type:
    """The type `struct name`. Raises NoDebugInformation."""
    try:
        return gdb.lookup_type(f"struct {name}")
    except gdb.error as error:
        raise NoDebugInformation(f"struct {name}") from error


def variable(name: str, source: str) -> gdb.Value:
    """A variable of one of Asterisk's source files. Raises NoDebugInformation.

    By its name alone the crashed module's own may be found; by the file alone, a library's file of the same name.
    """
    for expression in (f"'{source}'::{name}", name) if address_of(name) else ():
        try:
            value = gdb.parse_and_eval(expression)
            if value.type.strip_typedefs().code != gdb.TYPE_CODE_ERROR:
                return value
        except gdb.error:
            continue
    raise NoDebugInformation(f"the variable {name}")


def member(value: gdb.Value, *paths: str) -> gdb.Value:
    """What lies at the first of the dotted paths that this version of Asterisk has.

    Raises NotThere if it has none of them, or a null pointer is on the way; gdb.MemoryError where one leads nowhere.
    """
    for path in paths:
        try:
            return _followed(value, path.split("."))
        except gdb.MemoryError:
            raise
        except (gdb.error, KeyError):
            continue
    raise NotThere(f"{value.type} has no {paths[0]}")


def _followed(value: gdb.Value, names: list[str]) -> gdb.Value:
    for name in names:
        if _is_pointer(value) and not int(value):
            raise NotThere(f"a null pointer stands where {name} should be looked up")
        value = value[name]
    return value


def _is_pointer(value: gdb.Value) -> bool:
    return bool(value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR)


def as_text(value: gdb.Value) -> str:
    """The text in an array of characters, or behind a pointer to them; none behind a null pointer."""
    address = int(value) if _is_pointer(value) else int(value.address)
    return text_at(address) if address else ""
