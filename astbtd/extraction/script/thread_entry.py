"""Find the outermost functions of a stack that is too deep to unwind, from return addresses at its end (x86-64).

This is not unwinding, but few other values there look like an address behind a call instruction. In glibc the
descriptor of a thread, which $fs_base points to, lies directly above its stack.
"""

from __future__ import annotations

import re

import gdb

from astbtd.extraction.script.core_values import read_memory

SEARCHED_BYTES = 1 << 14
MAX_NAMES = 12
MAX_STACK_BYTES = 1 << 30
WORD_MASK = 0xFFFFFFFFFFFFFFFF
CALL = re.compile(rb".*(?:\xe8.{4}|\xff[\x10-\x1f\xd0-\xdf]|\xff[\x50-\x5f].|\xff[\x90-\x9f].{4})", re.DOTALL)
MAX_CALL_BYTES = 6
SYMBOL = re.compile(r"([A-Za-z_][\w.]{0,200})(?: \+ \d+)? in section ")


def outermost_functions() -> list[str]:
    """Return the functions that the outermost frames of the selected thread return to, the outermost last.

    Empty if they are unknown.
    """
    names: list[str] = []
    for word in reversed(_stack_words()):
        name = _function_returned_to(word)
        if name and name not in names[-1:]:
            names.append(name)
        if len(names) == MAX_NAMES:
            break
    return names[::-1]


def _stack_words() -> list[int]:
    """Return the outermost words of the selected thread's stack, the outermost last."""
    try:
        frame = gdb.newest_frame()
        stack_pointer, stack_end = (int(frame.read_register(name)) & WORD_MASK for name in ("rsp", "fs_base"))
        if not 0 < stack_end - stack_pointer < MAX_STACK_BYTES:
            return []
        start = max(stack_pointer, stack_end - SEARCHED_BYTES) & ~7
        return list(memoryview(read_memory(start, (stack_end - start) & ~7)).cast("Q"))
    except (gdb.error, ValueError, OverflowError):
        return []


def _function_returned_to(address: int) -> str | None:
    """Return the function that contains `address` if a call instruction precedes it."""
    try:
        if not CALL.fullmatch(read_memory(address - MAX_CALL_BYTES, MAX_CALL_BYTES)):
            return None
        found = SYMBOL.match(gdb.execute(f"info symbol {address - 1}", to_string=True))
    except (gdb.error, OverflowError, ValueError):
        return None
    return found[1] if found else None
