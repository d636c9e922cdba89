"""A real Asterisk that crashes at each start and is restarted by systemd."""

import json
from collections.abc import Iterator

import pytest

from astbtd.announce.journal import Event
from tests.support.containers.asterisk import UNIT, WORKING_DIRECTORY, Crash
from tests.support.containers.container import wait_until
from tests.support.containers.machine import Machine, booted
from tests.support.containers.service import STORE, Record

CRASHES = 24
IN_FULL = 5
HOW = "/srv/how"

CRASHES_AT_START = f"""[Unit]
StartLimitIntervalSec=0
[Service]
RestartSec=1
ExecStartPost=-/bin/sh -c 'asterisk -rx "astbtd crash $(cat {HOW})"'
"""
LOOP_SETTINGS = f"crash_loop: {{crashes: {IN_FULL}, within: 30s}}\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with booted() as machine:
        machine.service.configure(LOOP_SETTINGS)
        machine.service.reload()
        yield machine


def dumped(machine: Machine) -> int:
    """Return how often systemd reported an Asterisk that dumped core."""
    messages = machine.container.run("journalctl", "--unit", UNIT, "--output=cat").stdout
    return messages.count("Main process exited, code=dumped")


def recorded(machine: Machine) -> int:
    return len(machine.container.run("ls", f"{STORE}/crashes").stdout.split())


def wait_for_crashes(machine: Machine, count: int) -> None:
    wait_until(lambda: recorded(machine) >= count, f"{count} crashes are recorded", seconds=300)


@pytest.fixture(scope="module")
def loop(machine: Machine) -> list[Record]:
    """The records of a loop that contains crashes of another kind."""
    container = machine.container
    container.write(HOW, Crash.SEGV.value)
    container.write(f"/etc/systemd/system/{UNIT}.d/loop.conf", CRASHES_AT_START)
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", "--no-block", UNIT)
    wait_for_crashes(machine, CRASHES // 2)
    assert "crash loop since" in machine.service.property("StatusText")
    container.write(HOW, Crash.ABORT.value)
    wait_for_crashes(machine, recorded(machine) + 3)
    container.write(HOW, Crash.SEGV.value)
    wait_for_crashes(machine, CRASHES)
    container.run("systemctl", "stop", UNIT)
    wait_until(lambda: recorded(machine) == dumped(machine), "every crash is recorded", seconds=60)
    wait_until(lambda: machine.service.left_in(WORKING_DIRECTORY) == "", "every core is processed", seconds=60)
    return machine.service.listed()


def of_signal(crashes: list[Record], name: str) -> list[Record]:
    return [record for record in crashes if record["signal"]["name"] == name]


def test_every_crash_is_counted_and_after_the_first_no_core_is_kept(machine: Machine, loop: list[Record]) -> None:
    assert len(loop) == dumped(machine) >= CRASHES
    looping = of_signal(loop, "SIGSEGV")
    assert [record["signature"]["occurrence"] for record in looping] == list(range(len(looping), 0, -1))
    assert {record["signature"]["id"] for record in looping} == {looping[0]["signature"]["id"]}
    assert sum(not record["extraction"]["brief"] for record in looping) == IN_FULL
    brief = [record for record in looping if record["extraction"]["brief"]]
    assert {record["core"]["state"] for record in brief} == {"removed"}


def test_another_crash_in_the_loop_is_extracted_in_full(machine: Machine, loop: list[Record]) -> None:
    odd = of_signal(loop, "SIGABRT")[-1]
    assert odd["diagnosis"]["crash_function"] == "give_up"
    assert (odd["extraction"]["brief"], odd["core"]["state"]) == (False, "kept")
    full = machine.service.command("show", odd["id"], "--section", "full")
    assert full.count("\nThread ") == odd["diagnosis"]["threads"]


def test_the_journal_has_the_start_and_the_end_of_the_loop(machine: Machine, loop: list[Record]) -> None:
    signature = of_signal(loop, "SIGSEGV")[0]["signature"]["id"]
    ended = {"MESSAGE_ID": Event.CRASH_LOOP_ENDED.value, "ASTBTD_SIGNATURE": signature}
    wait_until(lambda: machine.service.entries(**ended) != [], "the loop ends", seconds=60)

    (end,) = machine.service.entries(**ended)
    assert end["ASTBTD_CRASHES"] == str(len(of_signal(loop, "SIGSEGV")))
    (_,) = machine.service.entries(MESSAGE_ID=Event.CRASH_LOOP_ENTERED.value, ASTBTD_SIGNATURE=signature)
    announced = machine.service.entries(MESSAGE_ID=Event.CRASH_COLLECTED.value, ASTBTD_SIGNATURE=signature)
    assert len(announced) == IN_FULL
    assert all(json.loads(entry["ASTBTD_RECORD"])["extraction"]["brief"] is False for entry in announced)


@pytest.mark.usefixtures("loop")
def test_the_daemon_was_not_restarted(machine: Machine) -> None:
    assert machine.service.property("NRestarts") == "0"
    assert machine.service.property("ActiveState") == "active"
