"""Where in its program a thread died, read off the core alone: two equal sites are the same crash.

A site is a hash of the signal and of all code addresses in the innermost part of the thread's stack, each as an offset
into its object, so that it is the same wherever the objects were loaded. Layouts: struct elf_prstatus of the kernel's
include/linux/elfcore.h, struct user_regs_struct (x86-64), struct user_pt_regs (aarch64).
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence

from astbtd.elf.core_memory import Mapping
from astbtd.elf.registers import machine_of
from astbtd.model.crash import Signal

_REGISTERS_AT = 112  # pr_reg in the 64-bit elf_prstatus
_STACK_BYTES = 4096


def crash_site(
    machine: int, status: bytes, signal: Signal | None, code: Sequence[Mapping], memory: Callable[[int, int], bytes]
) -> str | None:
    """The site of the thread with this NT_PRSTATUS note; None where machine or stack tell nothing.

    `code` is what was executable, ordered by address; `memory` gives up to so many bytes at an address.
    """
    known = machine_of(machine)
    if known is None or signal is None:
        return None
    counter, stack = (_word(status, _REGISTERS_AT + 8 * at) for at in (known.program_counter, known.stack_pointer))
    words = memory(stack, _STACK_BYTES)
    addresses = [counter, *(word for (word,) in struct.iter_unpack("<Q", words[: len(words) // 8 * 8]))]
    places = [place for address in addresses if (place := _place(address, code))]
    text = "\n".join([f"{signal.number}:{signal.code}", *places])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32] if len(places) > 1 else None


def _place(address: int, code: Sequence[Mapping]) -> str | None:
    index = bisect_right(code, address, key=lambda mapping: mapping.start) - 1
    if index < 0 or address >= code[index].end:
        return None
    return f"{code[index].path}+{address - code[index].start + code[index].offset:#x}"


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")
