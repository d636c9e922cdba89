"""Read values from a core: by expression, by path through structures, and strings of limited length.

The memory may be corrupt, and may have been written by an attacker on the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import gdb

from astbtd.elf import getters
from astbtd.extraction.script.job import run

MAX_TEXT_BYTES = 1024
_VARIABLE = re.compile(r"&(\w+)")
_ADDRESS = re.compile(r" is (?:static storage at address|a function at address|at) 0x([0-9a-f]+)")
_PAGE = 4096


class Missing(Exception):
    """A part of the report cannot be made from this core; the message says what is missing and why."""


class NoDebugInformation(Missing):
    """The program has no debug information about a structure or a variable."""

    def __init__(self, what: str) -> None:
        super().__init__(f"this asterisk has no debug information about {what}")


def evaluate(expression: str) -> int | None:
    """Return the value of an expression, None if it cannot be evaluated.

    It may name symbols that an executable without debug information exports. Their types are unknown: write names
    behind `&`, and cast what they point to. Names are replaced by their addresses first: gdb would search for their
    types, without success, for milliseconds.
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
    """Return the address of a variable or function; None if there is none of that name."""
    found = _ADDRESS.search(run(f"info address {name}"))
    return int(found[1], 16) if found else None


def evaluate_text(expression: str) -> str | None:
    """Return the string that an expression points to; None if it cannot be read."""
    address = evaluate(f"(unsigned long) ({expression})")
    return None if address is None else _text_or_none(address)


def text_at(address: int) -> str:
    """Return the string at an address, up to its NUL.

    It ends in `...` if there is no NUL within MAX_TEXT_BYTES or in readable memory. Raise gdb.MemoryError if nothing
    can be read.
    """
    data = b""
    for part in _parts_in_pages(address, MAX_TEXT_BYTES):
        try:
            data += read_memory(*part)
        except gdb.MemoryError:
            if not data:
                raise
            break
        if b"\0" in data:
            break
    characters, nul, _ = data.partition(b"\0")
    return characters.decode("utf-8", "backslashreplace") + ("" if nul else "...")


def read_memory(address: int, size: int) -> bytes:
    """Return the bytes at an address. Raise gdb.MemoryError."""
    return bytes(gdb.selected_inferior().read_memory(address, size))


def readable_memory(address: int, size: int) -> bytes:
    """Return the bytes at an address, up to the first page that cannot be read."""
    data = b""
    with suppress(gdb.MemoryError):
        return read_memory(address, size)
    with suppress(gdb.MemoryError):
        for part in _parts_in_pages(address, size):
            data += read_memory(*part)
    return data


def _parts_in_pages(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the address and size of each part of a memory range that lies in one page."""
    end = address + size
    while address < end:
        part = min(end - address, _PAGE - address % _PAGE)
        yield address, part
        address += part


def returned_text(function: str) -> str | None:
    """Return the string that a getter function returns, from its code; None if unknown."""
    machine, start, code = _code_of(function)
    address = getters.returned_address(machine, code, start)
    return None if address is None else _text_or_none(address)


def returned_number(function: str) -> int | None:
    """Return the int that a getter function returns, from its code; None if unknown."""
    machine, start, code = _code_of(function)
    address = getters.returned_value_address(machine, code, start)
    return None if address is None else evaluate(f"*(int *) {address}")


def _code_of(function: str) -> tuple[int, int, bytes]:
    """Return e_machine, the address of a function and its code, empty if it is unknown or not in the core."""
    machine = getters.MACHINES.get(gdb.selected_inferior().architecture().name(), 0)
    start = evaluate(f"(unsigned long) &{function}")
    if not start:
        return machine, 0, b""
    try:
        return machine, start, read_memory(start, getters.MAX_GETTER_BYTES)
    except gdb.error:
        return machine, 0, b""


def _text_or_none(address: int) -> str | None:
    try:
        return text_at(address)
    except gdb.error:
        return None


def lookup_struct(name: str) -> gdb.Type:
    """Return the type `struct name`. Raise NoDebugInformation."""
    try:
        return gdb.lookup_type(f"struct {name}")
    except gdb.error as error:
        raise NoDebugInformation(f"struct {name}") from error


def lookup_variable(name: str, source: str) -> gdb.Value:
    """Return a variable of one of Asterisk's source files. Raise NoDebugInformation.

    The name alone could be that of a variable in the crashed function; the file name alone could be that of a
    library's file.
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
    """Return the member at the first of the dotted paths that exists in this version of Asterisk.

    Raise Missing if none exists or a pointer on the way is null, gdb.MemoryError if a pointer is invalid.
    """
    for path in paths:
        try:
            return _follow(value, path.split("."))
        except gdb.MemoryError:
            raise
        except (gdb.error, KeyError):
            continue
    raise Missing(f"{value.type} has no {paths[0]}")


def _follow(value: gdb.Value, names: list[str]) -> gdb.Value:
    for name in names:
        if _is_pointer(value) and not int(value):
            raise Missing(f"the pointer to the structure with {name} is null")
        value = value[name]
    return value


def _is_pointer(value: gdb.Value) -> bool:
    return bool(value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR)


def as_text(value: gdb.Value) -> str:
    """Return the string in an array of characters or behind a pointer; empty for a null pointer."""
    address = int(value) if _is_pointer(value) else int(value.address)
    return text_at(address) if address else ""
