"""Reports what each thread was doing, as far as its registers tell, and the lock it may wait for."""

from __future__ import annotations

import re

import gdb

BEFORE, BEHIND = 16, 64  # bytes of memory around the first argument of a system call
SVC = 0xD4000001
MACHINES = {
    "i386:x86-64": ("orig_rax", ("rdi", "rsi", "rdx", "r10", "r8", "r9"), "rsp"),
    "aarch64": ("x8", ("x0", "x1", "x2", "x3", "x4", "x5"), "sp"),
}
SYMBOL = re.compile(r"([A-Za-z_][\w.]{0,200})(?: \+ (?:8|12))? in section ")


def thread_states() -> dict[str, object]:
    """The machine and its threads, in the form of astbtd's ThreadStates."""
    inferior = gdb.selected_inferior()
    machine = inferior.architecture().name()
    before = gdb.selected_thread()
    states = []
    for thread in inferior.threads():
        thread.switch()
        state: dict[str, object] = {"lwp": thread.ptid[1]}
        try:
            if machine in MACHINES:
                state.update(registers_of(gdb.newest_frame(), machine))
        except (gdb.error, OverflowError, ValueError):
            pass
        states.append(state)
    if before is not None:
        before.switch()
    return {"machine": machine, "threads": states}


def registers_of(frame: gdb.Frame, machine: str) -> dict[str, object]:
    """The system call that a thread is in, its arguments, and the memory around the first."""
    number, arguments, stack_pointer = MACHINES[machine]
    state: dict[str, object] = {"syscall": None, "arguments": [], "stack_pointer": unsigned(frame, stack_pointer)}
    syscall = int(frame.read_register(number))
    if syscall < 0 or (machine == "aarch64" and not at_system_call(frame.pc())):
        return state
    state["syscall"] = syscall
    state["arguments"] = values = [unsigned(frame, name) for name in arguments]
    address = values[0]
    try:
        state["near"] = bytes(gdb.selected_inferior().read_memory(address - BEFORE, BEFORE + BEHIND)).hex()
    except (gdb.error, OverflowError):
        return state
    found = SYMBOL.match(gdb.execute(f"info symbol {address}", to_string=True))
    state["symbol"] = found.group(1) if found else None
    return state


def at_system_call(pc: int) -> bool:
    """Whether the instruction at `pc`, to be repeated, or the one before, is a system call (aarch64)."""
    code = bytes(gdb.selected_inferior().read_memory(pc - 4, 8))
    return SVC in (int.from_bytes(code[:4], "little"), int.from_bytes(code[4:], "little"))


def unsigned(frame: gdb.Frame, name: str) -> int:
    """A register of a frame."""
    return int(frame.read_register(name)) & 0xFFFFFFFFFFFFFFFF
