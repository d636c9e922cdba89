"""Deaths without a core are found in the journal of a real journald, written by a real systemd."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.containers.asterisk import UNIT
from tests.support.containers.container import wait_until
from tests.support.containers.image import TRIXIE
from tests.support.containers.service import Record
from tests.support.containers.stand_in_machine import StandInMachine, booted
from tests.support.containers.trusted_entries import add_kernel_message

NO_CORES = "[Service]\nLimitCORE=0\n"
SECONDS = 180  # until a death is recorded: the daemon waits first for a core, and for all messages


@dataclass(frozen=True)
class Machine(StandInMachine):
    """A machine on which Asterisk may write no core."""

    def main_pid(self) -> int:
        return int(self.container.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout)

    def recorded(self, count: int) -> list[Record]:
        """Wait for so many crashes, and return all of them, newest first."""
        wait_until(lambda: len(self.service.listed()) >= count, f"{count} deaths are recorded", seconds=SECONDS)
        return self.service.listed()


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with booted(Machine, TRIXIE) as machine:
        container = machine.container
        container.write(f"/etc/systemd/system/{UNIT}.d/no-cores.conf", NO_CORES)
        container.run("systemctl", "daemon-reload")
        container.run("systemctl", "restart", UNIT)
        machine.service.start()
        yield machine


@pytest.fixture(scope="module")
def fault(machine: Machine) -> Record:
    """The record of a fault, about which only the service manager has said something."""
    machine.asterisk.crash()
    (recorded,) = machine.recorded(1)
    return recorded


def test_a_fault_with_a_core_limit_of_0_is_recorded_with_its_cause_and_the_remedy(fault: Record) -> None:
    assert (fault["core"]["state"], fault["core"]["identity_from"]) == ("none", "death")
    assert fault["signal"]["name"] == "SIGSEGV"
    assert fault["foreign"] is False
    assert fault["diagnosis"]["reasons"][0].startswith(f"There is no core: {UNIT} was terminated by SIGSEGV")
    assert "LimitCORE=infinity" in " ".join(fault["diagnosis"]["advice"])


def test_it_is_announced_once(machine: Machine, fault: Record) -> None:
    (entry,) = machine.service.entries(ASTBTD_ID=fault["id"])

    assert entry["MESSAGE"].startswith("Asterisk was terminated by SIGSEGV, but no core appeared")


def test_a_process_that_the_kernel_killed_when_out_of_memory_is_recorded_and_one_killed_by_hand_is_not(
    machine: Machine, fault: Record
) -> None:
    by_hand = machine.main_pid()
    machine.container.run("systemctl", "kill", "--signal=KILL", UNIT)
    wait_until(lambda: machine.main_pid() not in (0, by_hand), f"{UNIT} starts again")
    machine.container.run("systemctl", "stop", UNIT)
    machine.container.run("systemctl", "start", UNIT)
    pid = machine.main_pid()
    add_kernel_message(machine.container, f"Out of memory: Killed process {pid} (asterisk) total-vm:9kB, UID:110")
    machine.container.run("systemctl", "kill", "--signal=KILL", UNIT)

    killed, before = machine.recorded(2)

    assert before == fault
    assert killed["signal"]["name"] == "SIGKILL"
    assert "the kernel was out of memory" in killed["diagnosis"]["reasons"][0]
    assert f"Killed process {pid}" in killed["diagnosis"]["reasons"][0]
