"""Asterisk's astcanary dumps core under the name of Asterisk's core when a signal is sent to the whole unit."""

from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk import CORE, UNIT
from tests.support.containers.container import wait_until
from tests.support.containers.machine import Machine, booted
from tests.support.containers.service import Record
from tests.support.kernel import core_pattern

CANARY = "/usr/sbin/astcanary"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with booted() as machine:
        machine.service.configure("watch: {rescan: 5s}\n")
        machine.service.reload()
        yield machine


def abort_unit(machine: Machine) -> int:
    """Do `systemctl kill` while nobody watches, wait until Asterisk runs again, and return the pid that it had."""
    killed = machine.asterisk.main_pid()
    machine.container.run("systemctl", "reset-failed", UNIT)
    machine.container.run("systemctl", "kill", "--signal=ABRT", UNIT)
    wait_until(lambda: machine.asterisk.main_pid() not in (0, killed) and machine.asterisk.is_active(), "a restart")
    return killed


def leave_core_of_canary(machine: Machine) -> None:
    """Abort the unit until the core of astcanary has replaced that of Asterisk; which is last is not determined."""
    for _ in range(10):
        abort_unit(machine)
        if machine.container.run("grep", "--quiet", "--text", CANARY, CORE, check=False).returncode == 0:
            return
        machine.container.run("rm", CORE)
    raise AssertionError("the core of Asterisk was never replaced")


def losses(machine: Machine) -> list[Record]:
    return [record for record in machine.service.listed() if record["core"]["state"] == "lost"]


def test_a_core_that_astcanary_has_replaced_is_recorded_as_lost_with_the_remedy(machine: Machine) -> None:
    with core_pattern("core", uses_pid=False):
        machine.container.run("systemctl", "stop", "astbtd")
        leave_core_of_canary(machine)

        machine.service.start()
        wait_until(lambda: losses(machine) != [], "the loss is recorded", seconds=90)

    lost = losses(machine)[0]
    assert lost["core"]["path"] == CORE
    assert f"{CANARY} dumped core at the same time" in lost["diagnosis"]["reasons"][0]
    assert "kernel.core_uses_pid=1" in lost["diagnosis"]["advice"][0]


def test_with_pids_in_the_names_the_core_of_asterisk_is_collected(machine: Machine) -> None:
    with core_pattern("core", uses_pid=True):
        record = machine.service.collected(abort_unit(machine))

    assert record["core"]["state"] == "kept"
