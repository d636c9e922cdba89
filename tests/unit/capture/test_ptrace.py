"""The ptrace requests, on a process of the test."""

import os
import subprocess

import pytest

from astbtd.capture import ptrace
from astbtd.elf.registers import native_layout
from astbtd.lib.threads import run_in_thread


def test_a_stopped_thread_has_registers(threaded: "subprocess.Popen[str]") -> None:
    def read_registers() -> tuple[bytes, int]:
        ptrace.seize(threaded.pid)
        ptrace.interrupt(threaded.pid)
        signal = None
        while signal is None:
            signal = ptrace.poll_stop(threaded.pid)
        general = ptrace.registers(threaded.pid, ptrace.RegisterSet.GENERAL)
        ptrace.detach(threaded.pid, signal)
        return general, signal

    general, signal = run_in_thread("tracer", read_registers)

    layout = native_layout()
    assert (len(general), signal) == (layout.size, 0)
    assert layout.register(general, layout.stack_pointer) > 0


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
