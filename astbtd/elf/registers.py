"""Register layouts of the supported machines: program counter, stack pointer and first argument of a call.

Layouts: struct user_regs_struct (x86-64) and struct user_pt_regs (aarch64) of the kernel's uapi headers.
"""

import os
import struct
from dataclasses import dataclass

from astbtd.errors import AstbtdError


@dataclass(frozen=True)
class RegisterLayout:
    """The general register set of a machine: `elf_machine` is its e_machine, `size` the size of the set in bytes.

    `further_sets` are the types of the register sets that a debugger needs besides, if the processor has them.
    `address_bits` is how many bits of a code address count: the bits above them can hold the signature of a return
    address (pointer authentication), which differs between processes. The other fields are indices of 8-byte registers.
    """

    elf_machine: int
    size: int
    program_counter: int
    stack_pointer: int
    first_argument: int
    address_bits: int = 64
    further_sets: tuple[int, ...] = ()

    def code_address(self, word: int) -> int:
        """Return the code address in a word of the stack."""
        return word & ((1 << self.address_bits) - 1)

    def register(self, general: bytes, index: int) -> int:
        """Return one register of a general register set."""
        return int(struct.unpack_from("<Q", general, index * 8)[0])


_NT_ARM_TLS, _NT_ARM_PAC_MASK = 0x401, 0x406  # the thread pointer; which bits are the signature of an address

_LAYOUTS = {  # by the machine's name in uname(2)
    "x86_64": RegisterLayout(62, 216, program_counter=16, stack_pointer=19, first_argument=14),
    "aarch64": RegisterLayout(
        183,
        272,
        program_counter=32,
        stack_pointer=31,
        first_argument=0,
        address_bits=48,
        further_sets=(_NT_ARM_TLS, _NT_ARM_PAC_MASK),
    ),
}


def layout_for_machine(elf_machine: int) -> RegisterLayout | None:
    """Return the layout for an e_machine; None if it is not supported."""
    return next((layout for layout in _LAYOUTS.values() if layout.elf_machine == elf_machine), None)


def native_layout() -> RegisterLayout:
    """Return the layout of the machine we run on. Raise AstbtdError if it is not supported."""
    name = os.uname().machine
    if name not in _LAYOUTS:
        raise AstbtdError(f"snapshots are supported on {' and '.join(_LAYOUTS)} only, and this is {name}")
    return _LAYOUTS[name]
