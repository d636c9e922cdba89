"""What gdb reports of threads is not believed to be well-formed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.extraction import reported_states
from astbtd.model.deadlock_capture import ThreadState, ThreadStates

THREAD = {"lwp": 7, "syscall": 202, "arguments": [1, 128, 2, 0, 0, 0], "stack_pointer": 5, "near": "00", "symbol": "a"}


def test_threads_are_read() -> None:
    read = reported_states.read(json.dumps({"machine": "i386:x86-64", "threads": [THREAD, {"lwp": 8}]}).encode())

    assert read.machine == "i386:x86-64"
    assert read.threads == (ThreadState(7, 202, (1, 128, 2, 0, 0, 0), 5, "00", "a"), ThreadState(8))


def test_a_long_name_is_cut() -> None:
    (thread,) = reported_states.read(json.dumps({"threads": [THREAD | {"symbol": "x" * 9999}]}).encode()).threads

    assert len(thread.symbol or "") == 256


@pytest.mark.parametrize("data", [b"", b"null", b"[", b'{"threads": 7}', b'{"threads": [{"lwp": "x"}]}', b"\xff"])
def test_anything_else_is_nothing_known(data: bytes) -> None:
    assert reported_states.read(data) == ThreadStates()


@given(st.binary(max_size=200))
def test_junk_never_raises(data: bytes) -> None:
    reported_states.read(data)
