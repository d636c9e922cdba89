"""All threads of a process are stopped during a block, and resumed after it."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astbtd.capture.freeze import freeze
from astbtd.capture.live_process import LiveProcess, open_process
from astbtd.errors import AstbtdError
from astbtd.lib import scheduling


def thread_states(pid: int) -> set[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}


def test_all_threads_are_stopped_and_resumed(threaded: "subprocess.Popen[str]") -> None:
    def observe(process: LiveProcess) -> tuple[set[str], set[int], set[int], float]:
        with freeze(process) as threads:
            states = thread_states(process.pid)
        return states, set(threads.stopped), threads.running, threads.seconds

    with open_process(threaded.pid) as process, ThreadPoolExecutor(1) as tracer:
        expected = set(process.threads())
        states, stopped, running, seconds = tracer.submit(observe, process).result()

    assert states == {"t"}
    assert (stopped, running) == (expected, set())
    assert len(stopped) == 4
    assert seconds > 0
    assert not thread_states(threaded.pid) & {"t", "T"}


@pytest.mark.root
def test_what_keeps_a_process_stopped_is_not_kept_waiting_although_others_may_preempt_it_otherwise(
    threaded: "subprocess.Popen[str]",
) -> None:
    def observe(process: LiveProcess) -> tuple[int, int]:
        scheduling.let_others_preempt()
        with freeze(process):
            return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    with open_process(threaded.pid) as process, ThreadPoolExecutor(1) as tracer:
        assert tracer.submit(observe, process).result() == (os.SCHED_RR, 1)


def test_threads_are_resumed_when_the_block_fails(threaded: "subprocess.Popen[str]") -> None:
    def fail(process: LiveProcess) -> None:
        with freeze(process):
            raise ZeroDivisionError

    with open_process(threaded.pid) as process, ThreadPoolExecutor(1) as tracer:
        with pytest.raises(ZeroDivisionError):
            tracer.submit(fail, process).result()

        assert not thread_states(threaded.pid) & {"t", "T"}


def test_a_process_that_has_ended_cannot_be_frozen(threaded: "subprocess.Popen[str]") -> None:
    def freeze_ended(process: LiveProcess) -> None:
        threaded.kill()
        os.waitid(os.P_PID, threaded.pid, os.WEXITED | os.WNOWAIT)
        with freeze(process):
            pass

    with (
        ThreadPoolExecutor(1) as tracer,
        pytest.raises(AstbtdError, match="has ended"),
        open_process(threaded.pid) as process,
    ):
        tracer.submit(freeze_ended, process).result()
