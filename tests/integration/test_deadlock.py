"""Captures of real processes: the result, and that the processes continue to run whatever happens."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documented import traced
from tests.support.harness import TIMEOUT, RunningDaemon, allow_cores, suspend

_KILLS = 60
_SEED = 20261123

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(programs: Path, spool: Path) -> Iterator[Start]:
    """Start a program in place of Asterisk, and return when all its threads have reached their final state."""
    started = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [programs / "asterisk", *arguments], cwd=spool, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    allow_cores()
    yield run
    for process in started:
        process.kill()
        process.wait()


def astbtd(running: RunningDaemon, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "astbtd", "--config", str(running.configuration), *arguments]


def deadlock(running: RunningDaemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `astbtd deadlock`."""
    return subprocess.run(astbtd(running, "deadlock", *arguments), capture_output=True, text=True, check=False)


def capture_process(running: RunningDaemon, *arguments: str) -> dict[str, Any]:
    """Run `astbtd deadlock` and return the record."""
    done = deadlock(running, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def section(running: RunningDaemon, record: dict[str, Any], name: str) -> str:
    command = astbtd(running, "show", record["id"], "--section", name)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def states(pid: int) -> set[str]:
    """Return the states of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task")
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()}


def test_threads_that_wait_for_each_other_are_a_deadlock(running: RunningDaemon, start: Start) -> None:
    process = start("deadlock")

    record = capture_process(running, "--interval", "1s")

    one, other = record["cycle"]
    assert record["finding"] == "deadlock"
    assert record["process"]["pid"] == process.pid
    assert {(wait["thread_name"], wait["lock_name"], wait["stuck"]) for wait in record["wait_for"]} == {
        ("bridge_channel_thread", "channel_lock", True),
        ("channel_bridge_thread", "bridge_lock", True),
    }
    assert re.fullmatch(
        rf"deadlock: LWP {one} \((bridge_channel_thread|channel_bridge_thread), asterisk.c:\d+\) waits for "
        rf"(channel|bridge)_lock held by LWP {other}, which waits for (channel|bridge)_lock held by LWP {one}",
        section(running, record, "report").splitlines()[0],
    )


def test_threads_that_wait_for_work_are_not_a_deadlock(running: RunningDaemon, start: Start) -> None:
    start("wait")

    record = capture_process(running, "--interval", "1s")

    assert (record["finding"], record["wait_for"], record["cycle"]) == ("none", [], None)


@pytest.mark.parametrize("mode", ["wait", "deadlock"])
@pytest.mark.parametrize(("ours", "theirs"), [("backtrace-threads", "bt"), ("backtrace-threads-full", "bt full")])
def test_a_capture_has_the_same_backtraces_as_gdb_on_the_process(
    running: RunningDaemon, start: Start, mode: str, ours: str, theirs: str
) -> None:
    process = start(mode, "--note", "a text on the stack")
    gdb = ["gdb", "-nx", "--batch", "-p", str(process.pid), "-ex", f"thread apply all {theirs}"]
    documented = subprocess.run(gdb, capture_output=True, text=True, check=True).stdout
    record = capture_process(running, "--samples", "1")

    found = section(running, record, ours)

    assert traced(found) == traced(documented)
    assert len(traced(found)) == record["samples"][0]["threads"] == len(states_by_thread(process.pid))


def states_by_thread(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/task")


def test_memory_beyond_the_limit_is_read_after_the_process_was_resumed(running: RunningDaemon, start: Start) -> None:
    start("deadlock", "--megabytes", "200")

    record = capture_process(running, "--samples", "1")

    (sample,) = record["samples"]
    assert record["finding"] == "deadlock"
    assert 100 << 20 < sample["bytes_later"] < 250 << 20


def test_memory_that_is_mapped_and_not_used_is_not_read(running: RunningDaemon, start: Start) -> None:
    start("deadlock", "--megabytes", "500", "--untouched", "8192")

    record = capture_process(running, "--samples", "1")

    (sample,) = record["samples"]
    assert record["finding"] == "deadlock"
    assert 400 << 20 < sample["bytes_later"] < 550 << 20


def test_the_time_the_process_was_stopped_is_stored_and_printed(running: RunningDaemon, start: Start) -> None:
    start("wait")

    done = deadlock(running, "--samples", "2", "--interval", "1s")

    assert re.search(r"^Asterisk was paused for \d+ ms and \d+ ms$", done.stdout, re.MULTILINE)
    directory = Path(done.stdout.splitlines()[-1])
    stored = json.loads((directory / "deadlock.json").read_text())["samples"]
    assert all(sample["stopped_seconds"] > 0 for sample in stored)


def test_the_process_continues_to_run(running: RunningDaemon, start: Start) -> None:
    process = start("wait")

    capture_process(running, "--samples", "2", "--interval", "1s")

    assert states(process.pid) == {"S"}


def test_a_process_that_was_stopped_before_stays_stopped(running: RunningDaemon, start: Start) -> None:
    process = start("wait")
    suspend(process)

    capture_process(running, "--samples", "1")

    assert states(process.pid) == {"T"}


def test_a_signal_during_the_capture_is_not_lost(running: RunningDaemon, start: Start) -> None:
    process = start("wait")
    capture = subprocess.Popen(
        astbtd(running, "deadlock", "--samples", "20", "--interval", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: is_traced(process.pid) or capture.poll() is not None)
    process.terminate()

    assert process.wait(TIMEOUT) == -signal.SIGTERM
    capture.wait(TIMEOUT)


def test_a_capture_killed_at_any_time_leaves_the_process_running(running: RunningDaemon, start: Start) -> None:
    process = start("wait", "--threads", "60", "--megabytes", "50")
    moments = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    held = 0
    for _ in range(_KILLS):
        capture = subprocess.Popen(
            astbtd(running, "deadlock", "--samples", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(lambda capture=capture: is_traced(process.pid) or capture.poll() is not None)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.02))
        held += is_traced(process.pid)
        capture.kill()
        capture.wait()
        assert not states(process.pid) & {"t", "T"}
    assert held > _KILLS / 10, "captures were killed while the process was stopped"
    assert capture_process(running, "--samples", "1")["finding"] == "none"


def test_a_thread_that_cannot_be_stopped_is_omitted_and_reported(running: RunningDaemon, programs: Path) -> None:
    process = subprocess.Popen([programs / "uninterruptible"], stdout=subprocess.PIPE, process_group=0)
    wait_for(lambda: states(process.pid) == {"S", "D"})

    record = capture_process(running, "--samples", "1", "--pid", str(process.pid))

    (sample,) = record["samples"]
    assert (sample["threads"], len(sample["not_stopped"])) == (1, 1)
    assert "1 more could not be stopped" in section(running, record, "report")
    assert states(process.pid) == {"S", "D"}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT)


def test_with_several_asterisks_a_pid_is_required(running: RunningDaemon, start: Start) -> None:
    one, other = start("wait"), start("deadlock")

    refused = deadlock(running)

    assert refused.returncode == 2
    assert str(one.pid) in refused.stderr
    assert "--pid" in refused.stderr
    assert capture_process(running, "--samples", "1", "--pid", str(other.pid))["finding"] == "deadlock"


def test_without_an_asterisk_there_is_no_match(running: RunningDaemon) -> None:
    refused = deadlock(running)

    assert (refused.returncode, refused.stdout) == (3, "")
    assert "no Asterisk is running" in refused.stderr
    assert deadlock(running, "--pid", "4194303").returncode == 3


def test_a_process_in_a_debugger_is_not_captured(running: RunningDaemon, start: Start) -> None:
    process = start("wait")
    debugger = subprocess.Popen(
        ["gdb", "-nx", "-p", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: is_traced(process.pid))

    refused = deadlock(running)

    assert refused.returncode == 1
    assert f"being traced by process {debugger.pid}" in refused.stderr
    debugger.kill()
    debugger.wait()


@pytest.mark.parametrize(("mode", "answer"), [("deadlock", True), ("wait", False)])
def test_a_crash_record_contains_whether_threads_were_deadlocked(
    running: RunningDaemon, start: Start, spool: Path, mode: str, answer: bool
) -> None:
    process = start(mode)
    process.send_signal(signal.SIGABRT)
    process.wait(TIMEOUT)

    command = astbtd(running, "extract", "--json", str(spool / "core"))
    record = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert record["diagnosis"]["deadlock"] is answer
    assert any("Threads were deadlocked" in reason for reason in record["diagnosis"]["reasons"]) is answer


def test_the_daemon_requests_a_capture_if_the_console_does_not_answer(running: RunningDaemon, scratch: Path) -> None:
    watch = {"watch": True, "interval": "1s", "limit": "1s", "failures": 2}
    running.configure({"deadlock": watch, "asterisk": {"run_directory": str(scratch)}})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        console.bind(str(scratch / "asterisk.ctl"))
        console.listen()
        running.start()

        running.wait_until(lambda: "requested a capture" in running.output(), "the daemon to ask for a capture")

    assert (running.store.incoming / "deadlock-wanted").read_text() == f"{os.getpid()}\n"


def test_a_requested_capture_is_taken_once(running: RunningDaemon, start: Start, scratch: Path) -> None:
    process, _ = start("wait"), start("wait")
    request = scratch / "wanted"
    request.write_text(f"{process.pid}\n")

    record = capture_process(running, "--samples", "1", "--wanted", str(request))

    assert (record["asked_by"], record["process"]["pid"]) == ("watch", process.pid)
    assert not request.exists()


def is_traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll a condition that raises no event."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
