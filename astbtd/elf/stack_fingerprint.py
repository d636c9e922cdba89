"""Compute the fingerprint of a crashed thread's stack from the core alone: equal fingerprints are the same crash.

A fingerprint is a hash of the signal and of all code addresses in the innermost part of the stack. Each address is
taken as an offset into one build of an object, so that the fingerprint does not depend on where objects were loaded.
Unlike a site (GLOSSARY.md), it needs no gdb, but it also depends on what else is on the stack. Layouts: struct
elf_prstatus of the kernel's include/linux/elfcore.h, struct user_regs_struct (x86-64), struct user_pt_regs (aarch64).
"""

import hashlib
import struct
from collections.abc import Callable

from astbtd.elf.code_map import REGISTERS_OFFSET, CodeLocation
from astbtd.elf.registers import layout_for_machine
from astbtd.model.crash import Signal

_STACK_BYTES = 4096
_MIN_LOCATIONS = 2  # one code address, the program counter alone, does not identify a crash
_DIGEST_LENGTH = 32  # hexadecimal digits


def compute_fingerprint(
    machine: int,
    status: bytes,
    signal: Signal | None,
    find_code: Callable[[int], CodeLocation | None],
    memory: Callable[[int, int], bytes],
) -> str | None:
    """Return the fingerprint of the thread with the NT_PRSTATUS note `status`; None if there is none.

    `machine` is e_machine; `find_code` returns the location of a code address, None if it is not one;
    `memory(address, size)` returns up to `size` bytes.
    """
    layout = layout_for_machine(machine)
    if layout is None or signal is None:
        return None
    program_counter = _register(status, layout.program_counter)
    stack = memory(_register(status, layout.stack_pointer), _STACK_BYTES)
    addresses = [program_counter, *map(layout.code_address, _words(stack))]
    found = (find_code(address) for address in addresses)
    locations = [f"{each.build_id or each.path}+{each.offset:#x}" for each in found if each]
    if len(locations) < _MIN_LOCATIONS:
        return None
    text = "\n".join([f"{signal.number}:{signal.code}", *locations])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_LENGTH]


def _register(status: bytes, index: int) -> int:
    offset = REGISTERS_OFFSET + 8 * index
    return int.from_bytes(status[offset : offset + 8], "little")


def _words(data: bytes) -> list[int]:
    whole = data[: len(data) // 8 * 8]
    return [word for (word,) in struct.iter_unpack("<Q", whole)]
