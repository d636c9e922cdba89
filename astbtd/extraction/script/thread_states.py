"""Report the system call that each thread is in, from its registers, and the lock that it may wait for."""

from __future__ import annotations

import re
from contextlib import suppress

import gdb

from astbtd.extraction.script.core_values import read_memory

BYTES_BEFORE, BYTES_BEHIND = 16, 64  # of memory to report around the first argument of a system call
SVC = 0xD4000001  # the aarch64 instruction for a system call
WORD_MASK = 0xFFFFFFFFFFFFFFFF
MACHINES = {  # registers: the number of the system call, its arguments, the stack pointer
    "i386:x86-64": ("orig_rax", ("rdi", "rsi", "rdx", "r10", "r8", "r9"), "rsp"),
    "aarch64": ("x8", ("x0", "x1", "x2", "x3", "x4", "x5"), "sp"),
}
SLEEPS = {"i386:x86-64": (35, 230), "aarch64": (101, 115)}  # nanosleep, clock_nanosleep
MAX_FRAMES_TO_WRAPPER = 6
LOCK_WRAPPERS = ("__ast_pthread_mutex_lock", "__ast_rwlock_rdlock", "__ast_rwlock_wrlock")
SYMBOL = re.compile(r"([A-Za-z_][\w.]{0,200})(?: \+ (?:8|12))? in section ")


def thread_states() -> dict[str, object]:
    """Return the machine and its threads, with the fields of ThreadStates in astbtd/model/deadlock_capture.py."""
    inferior = gdb.selected_inferior()
    machine = inferior.architecture().name()
    selected = gdb.selected_thread()
    states = []
    for thread in inferior.threads():
        thread.switch()
        state: dict[str, object] = {"lwp": thread.ptid[1]}
        if machine in MACHINES:
            with suppress(gdb.error, OverflowError, ValueError):  # the state of this thread stays unknown
                state.update(read_state(gdb.newest_frame(), machine))
        states.append(state)
    if selected is not None:
        selected.switch()
    return {"machine": machine, "threads": states}


def read_state(frame: gdb.Frame, machine: str) -> dict[str, object]:
    """Return the system call of a thread, its arguments, and the memory around the lock that it may wait for."""
    number_register, argument_registers, stack_pointer = MACHINES[machine]
    state: dict[str, object] = {
        "syscall": None,
        "arguments": [],
        "stack_pointer": read_unsigned(frame, stack_pointer),
    }
    syscall = int(frame.read_register(number_register))
    if syscall < 0 or (machine == "aarch64" and not is_at_system_call(frame.pc())):
        return state
    arguments = [read_unsigned(frame, name) for name in argument_registers]
    state["syscall"] = syscall
    state["arguments"] = arguments
    polled = polled_lock(frame) if syscall in SLEEPS[machine] else None
    state["polled_lock"] = polled
    address = polled or arguments[0]
    try:
        state["near"] = read_memory(address - BYTES_BEFORE, BYTES_BEFORE + BYTES_BEHIND).hex()
    except (gdb.error, OverflowError):
        return state
    found = SYMBOL.match(gdb.execute(f"info symbol {address}", to_string=True))
    state["symbol"] = found.group(1) if found else None
    return state


def polled_lock(frame: gdb.Frame | None) -> int | None:
    """Return the address of the lock that a sleeping thread tries to lock: Asterisk built with DETECT_DEADLOCKS.

    It is the argument `t` of the wrapper that calls usleep().
    """
    for _ in range(MAX_FRAMES_TO_WRAPPER):
        if frame is None:
            return None
        if frame.name() in LOCK_WRAPPERS:
            try:
                return int(frame.read_var("t")) or None
            except (gdb.error, ValueError):  # no debug information, or optimized out
                return None
        frame = frame.older()
    return None


def is_at_system_call(pc: int) -> bool:
    """Return whether the instruction at `pc`, to be restarted, or the one before is a system call (aarch64)."""
    code = read_memory(pc - 4, 8)
    return SVC in (int.from_bytes(code[:4], "little"), int.from_bytes(code[4:], "little"))


def read_unsigned(frame: gdb.Frame, name: str) -> int:
    """Return a register of a frame as an unsigned number."""
    return int(frame.read_register(name)) & WORD_MASK
