"""What is known of a crash: the signal, the crashed thread, DEBUG_THREADS."""

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import (
    Signal,
)

SEGV = Signal(number=11, name="SIGSEGV")


def test_without_a_header_an_abort_implies_the_signal() -> None:
    assert diagnose("#0  __GI_raise (sig=sig@entry=6) at raise.c:50\n#1  0x1 in f () at f.c:1\n").signal == "SIGABRT"


def test_the_signal_of_the_core_takes_precedence_over_the_text(double_free: str) -> None:
    assert diagnose(double_free, Evidence(signal=SEGV)).signal == "SIGSEGV"


def test_the_thread_that_got_the_signal_is_the_crashed_one(two_threads: str) -> None:
    diagnosis = diagnose(two_threads, Evidence(lwp=31455))

    assert diagnosis.crash_function == "main"


def test_without_a_heading_the_thread_that_aborts_is_the_crashed_one() -> None:
    waiting = "Thread 2 (LWP 2):\n#0  0x1 in poll ()\n#1  0x1 in wait_for ()\n"
    aborting = "Thread 9 (LWP 9):\n#0  0x1 in abort ()\n#1  0x1 in give_up ()\n"

    diagnosis = diagnose(waiting + aborting)

    assert (diagnosis.crash_thread, diagnosis.crash_function) == (9, "give_up")


def test_a_thread_that_is_only_the_first_of_the_text_is_not_reported_as_crashed() -> None:
    assert diagnose("Thread 9 (LWP 9):\n#0  0x1 in poll ()\n#1  0x1 in wait_for ()\n").crash_thread is None


def test_lock_wrappers_are_not_evidence_of_debug_threads() -> None:
    assert not diagnose("#0  0x1 in __ast_pthread_mutex_lock () at lock.c:1\n#1  0x2 in hang ()\n").debug_threads


@pytest.mark.parametrize(
    "text",
    [
        "#0  0x1 in ast_reentrancy_lock () at lock.h:1\n",
        "#0  0x1 in ast_rentrancy_lock () at lock.h:1\n",
        "=== Currently Held Locks\n",
        "=== ---> Waiting for Lock #0 (x.c): MUTEX 12 f &lock 0x1 (1)\n",
    ],
)
def test_what_only_builds_with_debug_threads_have_is_evidence(text: str) -> None:
    assert diagnose(text).debug_threads
