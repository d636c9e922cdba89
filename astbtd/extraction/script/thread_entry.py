"""Find the outermost functions of a stack that is too deep to unwind, from return addresses at its end.

This is not unwinding, but few other values there look like an address behind a call instruction. In glibc the
descriptor of a thread lies directly above its stack. The thread pointer points to its start (x86-64) or to its end
(aarch64, with gdb 13 and later).
"""

from __future__ import annotations

import re

import gdb

from astbtd.extraction.script.core_values import read_memory

SEARCHED_BYTES = 1 << 14
MAX_NAMES = 12
MAX_STACK_BYTES = 1 << 30
WORD_MASK = 0xFFFFFFFFFFFFFFFF
POINTERS = {  # the stack pointer and the thread pointer, by gdb's name of the architecture
    "i386:x86-64": ("rsp", "fs_base"),
    "aarch64": ("sp", "tpidr"),
}
X86_CALL = re.compile(rb".*(?:\xe8.{4}|\xff[\x10-\x1f\xd0-\xdf]|\xff[\x50-\x5f].|\xff[\x90-\x9f].{4})", re.DOTALL)
MAX_CALL_BYTES = 6
BL, BL_MASK = 0x94000000, 0xFC000000  # aarch64: a call of an address, and of a register
BLR, BLR_MASK = 0xD63F0000, 0xFEFFF000  # also the forms that authenticate the address
ADDRESS_MASK = (1 << 48) - 1  # aarch64: the bits above may hold the signature of a return address
SYMBOL = re.compile(r"([A-Za-z_][\w.]{0,200})(?: \+ \d+)? in section ")


def outermost_functions() -> list[str]:
    """Return the functions that the outermost frames of the selected thread return to, the outermost last.

    Empty if they are unknown.
    """
    names: list[str] = []
    machine = gdb.selected_inferior().architecture().name()
    for word in reversed(_stack_words(machine)):
        name = _function_returned_to(word, machine)
        if name and name not in names[-1:]:
            names.append(name)
        if len(names) == MAX_NAMES:
            break
    return names[::-1]


def _stack_words(machine: str) -> list[int]:
    """Return the outermost words of the selected thread's stack, the outermost last."""
    if machine not in POINTERS:
        return []
    try:
        frame = gdb.newest_frame()
        stack_pointer, stack_end = (int(frame.read_register(name)) & WORD_MASK for name in POINTERS[machine])
        if not 0 < stack_end - stack_pointer < MAX_STACK_BYTES:
            return []
        start = max(stack_pointer, stack_end - SEARCHED_BYTES) & ~7
        return list(memoryview(read_memory(start, (stack_end - start) & ~7)).cast("Q"))
    except (gdb.error, ValueError, OverflowError):
        return []


def _function_returned_to(word: int, machine: str) -> str | None:
    """Return the function that contains the address `word` if a call instruction precedes it."""
    address = word & ADDRESS_MASK if machine == "aarch64" else word
    follows_call = _follows_aarch64_call if machine == "aarch64" else _follows_x86_call
    try:
        if not follows_call(address):
            return None
        found = SYMBOL.match(gdb.execute(f"info symbol {address - 1}", to_string=True))
    except (gdb.error, OverflowError, ValueError):
        return None
    return found[1] if found else None


def _follows_x86_call(address: int) -> bool:
    return X86_CALL.fullmatch(read_memory(address - MAX_CALL_BYTES, MAX_CALL_BYTES)) is not None


def _follows_aarch64_call(address: int) -> bool:
    if address % 4:
        return False
    instruction = int.from_bytes(read_memory(address - 4, 4), "little")
    return instruction & BL_MASK == BL or instruction & BLR_MASK == BLR
