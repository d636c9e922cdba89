"""The machines whose registers we know: where program counter, stack pointer and a call's first argument are.

Layouts: struct user_regs_struct (x86-64) and struct user_pt_regs (aarch64) of the kernel's uapi headers.
"""

import os
import struct
from dataclasses import dataclass

from astbtd.errors import AstbtdError


@dataclass(frozen=True)
class RegisterLayout:
    """`elf` is e_machine, `size` that of the general register set; the others are indices of 8-byte registers in it."""

    elf: int
    size: int
    program_counter: int
    stack_pointer: int
    first_argument: int

    def register(self, general: bytes, index: int) -> int:
        """One register of a general register set."""
        return int(struct.unpack_from("<Q", general, index * 8)[0])


_MACHINES = {"x86_64": RegisterLayout(62, 216, 16, 19, 14), "aarch64": RegisterLayout(183, 272, 32, 31, 0)}


def machine_of(elf: int) -> RegisterLayout | None:
    """The machine with this e_machine; None where it is none of those."""
    return next((machine for machine in _MACHINES.values() if machine.elf == elf), None)


def this_machine() -> RegisterLayout:
    """The machine we run on. Raises AstbtdError where it is none of those."""
    name = os.uname().machine
    if name not in _MACHINES:
        raise AstbtdError(f"snapshots are made on {' and '.join(_MACHINES)} only, and this is {name}")
    return _MACHINES[name]
