"""Other programs can preempt a thread that asked for it, and what it starts."""

import os
import subprocess
import threading

import pytest

from astbtd.lib import scheduling
from astbtd.lib.threads import run_at_idle_priority, run_in_thread
from tests.support.kernel import needs_time_slices
from tests.support.time_slice import LONGEST, time_slice

pytestmark = needs_time_slices


def test_the_thread_has_the_longest_slice_and_the_others_keep_theirs() -> None:
    def ask() -> int:
        scheduling.let_others_preempt()
        return time_slice(0)

    before = time_slice(0)

    assert run_in_thread("worker", ask) == LONGEST

    assert time_slice(0) == before < LONGEST


def test_priority_and_policy_stay_as_they_were() -> None:
    def ask() -> tuple[int, int]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        scheduling.let_others_preempt()
        return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)

    assert run_in_thread("worker", ask) == (7, os.SCHED_OTHER)


def test_programs_and_idle_threads_that_it_starts_have_the_slice_too() -> None:
    def ask() -> set[int]:
        scheduling.let_others_preempt()
        idle = run_at_idle_priority("compression", lambda: time_slice(0))
        program = subprocess.Popen(["chrt", "--idle", "0", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(b"started\n")
        program.stdin.flush()
        program.stdout.readline()  # wait until chrt has become cat
        found = {idle, time_slice(program.pid)}
        program.communicate()
        return found

    assert run_in_thread("worker", ask) == {LONGEST}


def test_an_unknown_processor_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_SCHED_SETATTR", {})

    def ask() -> int:
        scheduling.let_others_preempt()
        return time_slice(0)

    assert run_in_thread("worker", ask) < LONGEST
