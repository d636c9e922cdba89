"""A real Asterisk whose threads wait for each other is captured, by hand or automatically, and continues to run."""

import json
import re
from collections.abc import Iterator

import pytest

from astbtd.announce.journal import Event
from tests.support.containers.asterisk import Crash, Scene
from tests.support.containers.container import wait_until
from tests.support.containers.deadlock_machine import Capture, DeadlockMachine
from tests.support.containers.service import HIGHEST_EXPOSURES, STORE
from tests.support.documented import traced

WATCH = "deadlock: {watch: true, interval: 1s, limit: 1s, failures: 2, per_day: 1}\n"
HEALTHY_CAPTURES = 100
KILLS = 200

# Captures Asterisk many times and kills each capture at a random moment, every second one while Asterisk is stopped or
# right after that. Checks each time that Asterisk continues to run.
KILLING = r"""
import random, subprocess, sys, time
moments = random.Random(20261123)
pid = int(sys.argv[1])
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
stopped = held = 0

def is_traced():
    return "TracerPid:\t0\n" not in open(f"/proc/{pid}/status").read()

for number in range(KILLS):
    capture = subprocess.Popen(["astbtd", "deadlock", "--samples", "1"], **quiet)
    if number % 2:
        while not is_traced() and capture.poll() is None:
            pass
        time.sleep(moments.uniform(0, 0.03))
    else:
        time.sleep(moments.uniform(0, 1))
    held += is_traced()
    capture.kill()
    capture.wait()
    answer = subprocess.run(["asterisk", "-rx", "core show uptime"], capture_output=True, text=True, timeout=20)
    assert "System uptime" in answer.stdout, answer
    states = subprocess.run(["ps", "-L", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.split()
    stopped += any(state[0] in "Tt" for state in states)
print(held, stopped)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[DeadlockMachine]:
    """One machine for all tests; each may restart Asterisk."""
    with DeadlockMachine.booted() as machine:
        yield machine


def waits(captured: Capture) -> dict[str, Capture]:
    """Return the waits of a capture by the start function of the thread."""
    return {wait["thread_name"]: wait for wait in captured["wait_for"]}


def lwp(captured: Capture, thread: str) -> int:
    return int(waits(captured)[thread]["lwp"])


@pytest.mark.parametrize(
    ("scene", "threads"),
    [
        (Scene.TWO_MUTEXES, {"alpha_then_beta": "beta", "beta_then_alpha": "alpha"}),
        (
            Scene.THREE_MUTEXES,
            {"alpha_then_beta": "beta", "beta_then_gamma": "gamma_lock", "gamma_then_alpha": "alpha"},
        ),
        (Scene.MUTEX_AND_RWLOCK, {"alpha_then_directory": "directory", "directory_then_alpha": "alpha"}),
    ],
)
def test_a_cycle_of_waiting_threads_is_a_deadlock(
    machine: DeadlockMachine, scene: Scene, threads: dict[str, str]
) -> None:
    captured = machine.capture(scene, "--interval", "1s")

    cycle = [lwp(captured, thread) for thread in threads]
    assert captured["finding"] == "deadlock"
    assert set(captured["cycle"]) == set(cycle)
    assert {thread: wait["lock_name"] for thread, wait in waits(captured).items()} == threads
    assert [waits(captured)[thread]["owner_lwp"] for thread in threads] == [*cycle[1:], cycle[0]]
    assert {wait["kind"] for wait in captured["wait_for"] if wait["lock_name"] == "directory"} <= {"rwlock"}
    assert {wait["kind"] for wait in captured["wait_for"] if wait["lock_name"] != "directory"} == {"mutex"}


def test_the_first_line_of_the_report_names_the_cycle(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES, "--interval", "1s")

    first, *_ = machine.service.command("show", captured["id"]).splitlines()

    one, other = captured["cycle"]
    (line,) = re.findall(r"res_astbtd_locks.c:\d+", first)
    assert first in (
        f"deadlock: LWP {one} (alpha_then_beta, {line}) waits for beta held by LWP {other}, "
        f"which waits for alpha held by LWP {one}",
        f"deadlock: LWP {one} (beta_then_alpha, {line}) waits for alpha held by LWP {other}, "
        f"which waits for beta held by LWP {one}",
    )


@pytest.mark.parametrize(
    ("scene", "thread", "kind", "owner_state", "end"),
    [
        (Scene.EXITED_OWNER, "only_alpha", "mutex", "gone", "which no longer exists"),
        (Scene.SLOW_OWNER, "only_alpha", "mutex", "sleeping", "which sleeps"),
        (Scene.SLOW_READER, "only_write_directory", "rwlock", "readers", "held by unknown readers"),
    ],
)
def test_a_chain_without_a_cycle_is_stuck_and_named_by_its_end(
    machine: DeadlockMachine, scene: Scene, thread: str, kind: str, owner_state: str, end: str
) -> None:
    captured = machine.capture(scene, "--interval", "1s")

    (wait,) = captured["wait_for"]
    assert captured["finding"] == "stuck"
    assert captured["cycle"] is None
    assert (wait["thread_name"], wait["kind"], wait["owner_state"], wait["stuck"]) == (thread, kind, owner_state, True)
    assert captured["summary"].endswith(end)


def test_a_capture_has_the_frames_that_gdb_shows_of_the_process_itself(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES, "--samples", "1")

    pid = str(captured["process"]["pid"])
    documented = machine.container.run("gdb", "-ex", "thread apply all bt", "--batch", "/usr/sbin/asterisk", pid).stdout
    ours = machine.service.command("show", captured["id"], "--section", "backtrace-threads")

    same = [thread for thread, frames in traced(documented).items() if traced(ours).get(thread) == frames]
    assert len(traced(ours)) == captured["samples"][0]["threads"]
    assert set(captured["cycle"]) <= set(same)
    assert len(same) >= 0.95 * len(traced(documented)), "only threads that moved in between may differ"


def test_the_absence_of_core_show_locks_is_recorded(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES, "--samples", "1")

    assert captured["locks_cli"] == "unavailable"
    locks = machine.service.command("show", captured["id"], "--section", "core-show-locks")
    assert locks.startswith("No such command 'core show locks'")


def test_a_capture_is_announced(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES, "--samples", "1")

    (entry,) = machine.service.entries(MESSAGE_ID=Event.DEADLOCK_CAPTURED.value, ASTBTD_ID=captured["id"])
    assert captured["summary"] in entry["MESSAGE"]
    assert json.loads(entry["ASTBTD_RECORD"]) == captured


def test_the_files_are_readable_by_the_group_only_and_no_memory_is_kept(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES)

    listing = machine.container.run("find", f"{STORE}/deadlocks/{captured['id']}", "-printf", "%f %m %u:%g\n").stdout
    assert {line.split(" ", 1)[1] for line in listing.splitlines()[1:]} == {"640 root:astbtd"}
    assert {line.split()[0] for line in listing.splitlines()[1:]} == {
        "deadlock.json",
        "report.txt",
        *(f"{name}{number}.txt" for number in ("", "-2") for name in ("backtrace-threads", "core-show-locks")),
        *(f"backtrace-threads-full{number}.txt" for number in ("", "-2")),
    }
    assert machine.container.run("find", f"{STORE}/capturing", "-mindepth", "1").stdout == ""


def test_the_unit_captures_by_hand(machine: DeadlockMachine) -> None:
    machine.asterisk.restart()
    machine.asterisk.play(Scene.TWO_MUTEXES)
    before = len(machine.captures())

    machine.container.run("systemctl", "start", "astbtd-deadlock.service", timeout=120)

    captured, *_ = machine.captures()
    assert len(machine.captures()) == before + 1
    assert (captured["finding"], captured["asked_by"]) == ("deadlock", "command")


def test_the_units_sandbox_is_tight(machine: DeadlockMachine) -> None:
    service = "astbtd-deadlock.service"
    assert machine.service.exposure(service) <= HIGHEST_EXPOSURES[service]
    for unit in (service, "astbtd-deadlock.path"):
        verified = machine.container.run("systemd-analyze", "verify", unit)
        assert verified.stdout + verified.stderr == ""


def test_a_crash_of_a_deadlocked_asterisk_is_recorded_as_such_also_after_a_capture(machine: DeadlockMachine) -> None:
    captured = machine.capture(Scene.TWO_MUTEXES, "--samples", "1")
    machine.service.start()

    crashed = machine.service.collected(machine.asterisk.crash(Crash.SEGV))

    assert crashed["process"]["pid"] == captured["process"]["pid"]
    assert crashed["diagnosis"]["deadlock"] is True
    assert any("deadlocked when the process died: LWP" in reason for reason in crashed["diagnosis"]["reasons"])
    machine.container.run("systemctl", "stop", "astbtd")


def test_a_crash_of_an_asterisk_at_rest_was_no_deadlock(machine: DeadlockMachine) -> None:
    machine.asterisk.restart()
    machine.service.start()

    assert machine.service.collected(machine.asterisk.crash(Crash.SEGV))["diagnosis"]["deadlock"] is False
    machine.container.run("systemctl", "stop", "astbtd")


def test_the_monitor_captures_once_when_the_console_does_not_answer(machine: DeadlockMachine) -> None:
    machine.asterisk.restart()
    machine.service.configure(WATCH)
    machine.service.start()
    before = len(machine.captures())
    machine.asterisk.play(Scene.CHANNELS_AND_MUTEX)

    wait_until(lambda: len(machine.captures()) > before, "the monitor captures Asterisk", seconds=60)

    captured, *_ = machine.captures()
    assert (captured["finding"], captured["asked_by"]) == ("deadlock", "watch")
    assert captured["process"]["pid"] == machine.asterisk.main_pid()
    assert any("has not responded 2 times in a row" in entry["MESSAGE"] for entry in machine.service.entries())
    machine.asterisk.restart()
    wait_until(lambda: "calls processed" in machine.asterisk.console("core show channels count"), "Asterisk answers")
    machine.asterisk.play(Scene.CHANNELS_AND_MUTEX)
    limit = "no capture, since there were 1 within a day"
    wait_until(lambda: any(limit in entry["MESSAGE"] for entry in machine.service.entries()), "the limit holds")
    assert len(machine.captures()) == before + 1
    machine.container.run("systemctl", "stop", "astbtd")
    machine.service.configure("")


def test_the_monitor_notices_a_deadlock_of_a_channel_while_the_number_of_calls_is_answered(
    machine: DeadlockMachine,
) -> None:
    machine.asterisk.restart()
    machine.service.configure(WATCH.replace("per_day: 1", "per_day: 9"))
    machine.service.start()
    before = len(machine.captures())
    machine.asterisk.play(Scene.CHANNEL_AND_MUTEX)

    wait_until(lambda: len(machine.captures()) > before, "the monitor captures Asterisk", seconds=60)

    captured, *_ = machine.captures()
    assert "calls processed" in machine.asterisk.console("core show channels count")
    assert (captured["finding"], captured["asked_by"]) == ("deadlock", "watch")
    assert {"channel_then_alpha", "alpha_then_channel"} <= set(waits(captured))
    unanswered = "times in a row to `core show channel astbtd`: requested a capture"
    assert any(unanswered in entry["MESSAGE"] for entry in machine.service.entries())
    machine.container.run("systemctl", "stop", "astbtd")
    machine.service.configure("")


def test_a_busy_asterisk_is_not_reported_as_deadlocked(machine: DeadlockMachine) -> None:
    machine.asterisk.restart()
    machine.asterisk.play(Scene.CONTEND)

    found = set()
    waiting = 0
    for _ in range(HEALTHY_CAPTURES):
        captured = json.loads(machine.service.command("deadlock", "--json", "--samples", "1"))
        found.add(captured["finding"])
        waiting += len(captured["wait_for"])

    assert found <= {"none", "unknown"}
    assert waiting > HEALTHY_CAPTURES, "threads did wait for locks"
    assert len(machine.captures()) == 20
    machine.check_asterisk_runs(captured["process"]["pid"])
    two = json.loads(machine.service.command("deadlock", "--json", "--interval", "2s"))
    assert two["finding"] == "none"
    machine.asterisk.play(Scene.REST)


def test_asterisk_continues_to_run_when_a_capture_is_killed(machine: DeadlockMachine) -> None:
    machine.asterisk.restart()
    pid = machine.asterisk.main_pid()

    script = KILLING.replace("KILLS", str(KILLS))
    held, stopped = machine.container.run("python3", "-c", script, str(pid), timeout=600).stdout.split()

    assert int(held) > KILLS / 10, "captures were killed while they held Asterisk"
    assert stopped == "0"
    machine.check_asterisk_runs(pid)
