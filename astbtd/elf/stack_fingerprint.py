"""Compute the site of a crash, the exact place in a program, from the core alone: equal sites are the same crash.

A site is a hash of the signal and of all code addresses in the innermost part of the thread's stack. Each address is
taken as an offset into its object, so that the site does not depend on where objects were loaded. Layouts: struct
elf_prstatus of the kernel's include/linux/elfcore.h, struct user_regs_struct (x86-64), struct user_pt_regs (aarch64).
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence

from astbtd.elf.core_memory import FileMapping
from astbtd.elf.registers import layout_for_machine
from astbtd.model.crash import Signal

_REGISTERS_OFFSET = 112  # of pr_reg in the 64-bit elf_prstatus
_STACK_BYTES = 4096
_MIN_LOCATIONS = 2  # one code address, the program counter alone, does not identify a crash
_DIGEST_LENGTH = 32  # hexadecimal digits


def compute_site(
    machine: int, status: bytes, signal: Signal | None, code: Sequence[FileMapping], memory: Callable[[int, int], bytes]
) -> str | None:
    """Return the site of the thread with the NT_PRSTATUS note `status`; None if machine or stack do not allow it.

    `machine` is e_machine, `code` the executable mappings ordered by address; `memory(address, size)` returns up to
    `size` bytes.
    """
    layout = layout_for_machine(machine)
    if layout is None or signal is None:
        return None
    program_counter = _register(status, layout.program_counter)
    stack = memory(_register(status, layout.stack_pointer), _STACK_BYTES)
    addresses = [program_counter, *_words(stack)]
    locations = list(filter(None, (_code_location(address, code) for address in addresses)))
    if len(locations) < _MIN_LOCATIONS:
        return None
    text = "\n".join([f"{signal.number}:{signal.code}", *locations])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_LENGTH]


def _code_location(address: int, code: Sequence[FileMapping]) -> str | None:
    """Return `PATH+OFFSET` of a code address; None if it is not one."""
    index = bisect_right(code, address, key=lambda mapping: mapping.start) - 1
    if index < 0 or address >= code[index].end:
        return None
    mapping = code[index]
    return f"{mapping.path}+{address - mapping.start + mapping.offset:#x}"


def _register(status: bytes, index: int) -> int:
    offset = _REGISTERS_OFFSET + 8 * index
    return int.from_bytes(status[offset : offset + 8], "little")


def _words(data: bytes) -> list[int]:
    whole = data[: len(data) // 8 * 8]
    return [word for (word,) in struct.iter_unpack("<Q", whole)]
