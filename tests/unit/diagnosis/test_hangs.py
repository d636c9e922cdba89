"""Hangs: threads that wait for one another, if nothing crashed."""

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import LostCore, Signal
from tests.support.backtraces import prose
from tests.support.builders import crash
from tests.support.transcripts import LOCKS

IDLE = "Thread 1 (LWP 1):\n#0  0x1 in poll ()\n#1  0x2 in monitor_sig_flags ()\n#2  0x3 in main ()\n"
WAITING = """\
Thread 2 (LWP 2):
#0  0x1 in __lll_lock_wait ()
#1  0x2 in pthread_mutex_lock ()
#2  0x3 in __ao2_lock ()
#3  0x4 in take () at t.c:1
"""
FAULT = "Thread 1 (LWP 1):\n#0  0x1 in strlen ()\n#1  0x2 in play ()\n"


@pytest.mark.parametrize(
    "frames",
    [
        ["__lll_lock_wait", "pthread_mutex_lock"],
        ["futex_wait", "__lll_lock_wait", "lll_mutex_lock_optimized", "___pthread_mutex_lock"],
        ["futex_abstimed_wait", "__pthread_rwlock_wrlock_full", "__GI___pthread_rwlock_wrlock"],
        ["__kernel_vsyscall", "__lll_lock_wait", "_L_lock_12", "pthread_mutex_lock"],
        ["_umtx_op_err", "__thr_umutex_lock", "mutex_lock_common"],
        ["__syscall_cp_c", "__timedwait_cp", "__pthread_mutex_timedlock", "pthread_mutex_lock"],
    ],
)
def test_a_thread_that_waits_for_a_lock_while_nothing_crashed_is_a_deadlock(frames: list[str]) -> None:
    listing = "".join(f"#{level}  0x1 in {name} ()\n" for level, name in enumerate([*frames, "take"]))

    diagnosis = diagnose(f"{IDLE}\nThread 2 (LWP 2):\n{listing}")

    assert (diagnosis.deadlock, diagnosis.crash_function) == (True, "take")
    assert "astbtd deadlock" in prose(diagnosis)
    assert "DEBUG_THREADS" in prose(diagnosis)


@pytest.mark.parametrize(
    "text",
    [
        f"Program terminated with signal SIGSEGV, Segmentation fault.\n{FAULT}\n{WAITING}",
        f"{FAULT}\n{WAITING}",
        f"{IDLE}\n{WAITING}\nThread 3 (LWP 3):\n#0  0x1 in raise ()\n#1  0x2 in abort ()\n#2  0x3 in play ()\n",
        "#0  0x1 in pthread_mutex_lock (mutex=0xdeaddeaddeaddead)\n#1  0x2 in play ()\n",
        f"{IDLE}\nThread 2 (LWP 2):\n#0  0x1 in futex_wait ()\n#1  0x2 in pthread_cond_wait ()\n#2  0x3 in worker ()\n",
        IDLE,
        "",
    ],
)
def test_crashes_and_idle_threads_are_not_deadlocks(text: str) -> None:
    assert diagnose(text).deadlock is False


@pytest.mark.parametrize("text", [f"{FAULT}\n{WAITING}", FAULT, ""])
@pytest.mark.parametrize("evidence", [Evidence(extraction=crash().extraction), Evidence(loss=LostCore("gone", ""))])
def test_the_answer_is_unknown_for_a_crash_whose_locks_could_not_be_read(text: str, evidence: Evidence) -> None:
    assert diagnose(text, evidence).deadlock is None


def test_a_core_that_hangs_is_a_deadlock_even_if_its_locks_cannot_be_read() -> None:
    assert diagnose(f"{IDLE}\n{WAITING}", Evidence(extraction=crash().extraction)).deadlock is True


@pytest.mark.parametrize("signal", ["SIGABRT", "SIGQUIT", "SIGTRAP"])
def test_a_signal_sent_to_idle_threads_is_not_a_crash(signal: str) -> None:
    text = f"Program terminated with signal {signal}, Aborted.\n[Current thread is 1 (LWP 1)]\n{IDLE}\n{WAITING}"

    assert diagnose(text).deadlock


def test_a_crash_signal_of_the_core_is_a_crash() -> None:
    assert not diagnose(f"{IDLE}\n{WAITING}", Evidence(signal=Signal(11, "SIGSEGV"))).deadlock


def test_a_sleeping_thread_is_a_deadlock_only_if_somebody_selected_it() -> None:
    sleeping = "#0  0x1 in clock_nanosleep@GLIBC_2.2.5 ()\n#1  0x2 in usleep ()\n#2  0x3 in wait_for_it ()\n"

    assert diagnose(f"Thread 266 (LWP 9):\n{sleeping}").deadlock
    assert not diagnose(f"Thread 1 (LWP 9):\n{sleeping}").deadlock
    assert not diagnose("Thread 266 (LWP 9):\n#0  0x1 in poll ()\n#1  0x2 in run ()\n").deadlock
    assert not diagnose("Thread 266 (LWP 9):\n#0  0x1 in busy ()\n#1  0x2 in run ()\n").deadlock


def test_core_show_locks_proves_a_cycle() -> None:
    diagnosis = diagnose(LOCKS)

    assert diagnosis.deadlock
    assert "Deadlock: LWP 11 waits for a lock held by LWP 12, LWP 12 waits for a lock held by LWP 11." in prose(
        diagnosis
    )
    assert (diagnosis.crash_function, diagnosis.top_frame, diagnosis.signal) == ("ast_bridge_join", None, None)


def chain_of_locks(length: int) -> str:
    """The listing of threads that each want the lock of the next."""
    entry = (
        "=== Thread ID: 0x7f1 LWP:{0} (pbx_thread           started at [ 1] pbx.c ast_pbx_start())\n"
        "=== ---> Lock #0 (a.c): MUTEX 1 take &lock {0:#x} (1)\n"
        "=== ---> Waiting for Lock #1 (a.c): MUTEX 2 take &lock {1:#x} (1)\n"
        "=== -------------------------------------------------------------------\n"
    )
    return "=== Currently Held Locks\n" + "".join(entry.format(number, number + 1) for number in range(1, length + 1))


def test_a_long_chain_of_waiting_threads_is_no_cycle() -> None:
    assert "a lock held by" not in prose(diagnose(chain_of_locks(3000)))


def test_a_cycle_at_the_end_of_a_chain_is_found() -> None:
    back = chain_of_locks(5).replace(f"&lock {6:#x}", f"&lock {4:#x}")

    assert "Deadlock: LWP 4 waits for a lock held by LWP 5, LWP 5 waits for a lock held by LWP 4." in prose(
        diagnose(back)
    )


def test_there_is_no_cycle_if_the_holder_is_not_listed() -> None:
    diagnosis = diagnose(LOCKS.replace("MUTEX 9 bridge_loop &bridge->lock 0x7f4b", "MUTEX 9 bridge_loop &other 0x7f4c"))

    assert diagnosis.deadlock
    assert "a lock held by" not in prose(diagnosis)
