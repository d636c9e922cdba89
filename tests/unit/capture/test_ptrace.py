"""The ptrace requests, on a process of the test."""

import os
import subprocess

import pytest

from astbtd.capture import ptrace
from astbtd.elf.registers import native_layout
from astbtd.lib.threads import run_in_thread

NT_ARM_TLS = 0x401


def test_a_stopped_thread_has_registers(threaded: "subprocess.Popen[str]") -> None:
    layout = native_layout()

    def read_registers() -> tuple[bytes, dict[int, int], int]:
        ptrace.seize(threaded.pid)
        ptrace.interrupt(threaded.pid)
        signal = None
        while signal is None:
            signal = ptrace.poll_stop(threaded.pid)
        general = ptrace.registers(threaded.pid, ptrace.RegisterSet.GENERAL)
        further = {kind: size_or_0(threaded.pid, kind) for kind in layout.further_sets}
        ptrace.detach(threaded.pid, signal)
        return general, further, signal

    general, further, signal = run_in_thread("tracer", read_registers)

    assert (len(general), signal) == (layout.size, 0)
    assert layout.register(general, layout.stack_pointer) > 0
    assert further.get(NT_ARM_TLS, 8) >= 8


def size_or_0(tid: int, kind: int) -> int:
    """Return the size of a register set, 0 if the processor does not have it."""
    try:
        return len(ptrace.registers(tid, kind))
    except OSError:
        return 0


def test_a_missing_thread_cannot_be_seized() -> None:
    with pytest.raises(ProcessLookupError):
        ptrace.seize(4194303)


def test_an_ended_thread_is_reported(threaded: "subprocess.Popen[str]") -> None:
    def wait_for_end() -> None:
        ptrace.seize(threaded.pid)
        os.kill(threaded.pid, 9)
        while True:
            ptrace.poll_stop(threaded.pid)

    with pytest.raises(ChildProcessError):
        run_in_thread("tracer", wait_for_end)
