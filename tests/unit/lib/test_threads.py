"""A function runs in a thread of its own and hands back what it returned or raised."""

import threading

import pytest

from astbtd.lib.threads import ThreadTask, run_in_thread

TIMEOUT = 60.0  # seconds until a wait that should have ended long ago is given up


def test_the_result_is_returned_from_a_thread_of_the_given_name() -> None:
    assert run_in_thread("compression", lambda: threading.current_thread().name) == "compression"


def test_an_exception_is_raised_in_the_calling_thread() -> None:
    def fail() -> None:
        raise ValueError("no result")

    with pytest.raises(ValueError, match="no result"):
        run_in_thread("compression", fail)


def test_a_task_has_ended_only_when_its_function_has() -> None:
    gate = threading.Event()
    task = ThreadTask("question", lambda: gate.wait(TIMEOUT))

    task.wait(0.0)
    assert not task.has_ended
    gate.set()
    task.wait(TIMEOUT)

    assert task.has_ended
    assert task.result() is True
