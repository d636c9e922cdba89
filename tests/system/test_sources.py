"""Cores of a real Asterisk are collected from a private /tmp, from systemd-coredump and from safe_asterisk."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from astbtd.sources import core_pattern as core_pattern_of
from astbtd.sources.collectors.systemd_coredump import COLLECTOR
from tests.support.containers import collecting
from tests.support.containers.asterisk import UNIT, Crash
from tests.support.containers.container import wait_until
from tests.support.containers.machine import Machine, booted
from tests.support.kernel import core_pattern

RUN_DIRECTORY, DROP = "/srv/run", "/srv/drop"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with booted() as machine:
        yield machine


@contextmanager
def private_tmp(machine: Machine) -> Iterator[None]:
    """Asterisk with a /tmp of its own, and the kernel writing cores there."""
    machine.container.write(f"/etc/systemd/system/{UNIT}.d/private.conf", "[Service]\nPrivateTmp=yes\n")
    machine.container.run("systemctl", "daemon-reload")
    with core_pattern("/tmp/core-%e-%t"):
        machine.container.run("systemctl", "restart", UNIT)
        wait_until(lambda: "watching 3 directories" in machine.service.status(), "the private /tmp is watched")
        yield


def test_a_core_in_a_private_tmp_is_collected_although_systemd_removes_it_at_once(machine: Machine) -> None:
    with private_tmp(machine):
        first, second = machine.crash(Crash.SEGV), machine.crash(Crash.ABORT)

    for crash, signal in ((first, "SIGSEGV"), (second, "SIGABRT")):
        assert crash["signal"]["name"] == signal
        assert re.fullmatch(
            r"/tmp/systemd-private-\w+-asterisk\.service-\w+/tmp/core-asterisk-\d+", crash["core"]["path"]
        )
        assert (crash["core"]["state"], crash["core"]["found"]) == ("kept", "event")
        assert not crash["core"]["truncated"]
        assert crash["diagnosis"]["crash_function"]


@pytest.mark.parametrize(("compress", "suffix"), [("yes", r"\.zst"), ("no", "")])
def test_a_core_that_systemd_coredump_keeps_is_collected_and_left_there(
    machine: Machine, compress: str, suffix: str
) -> None:
    collecting.configure(machine.container, f"Compress={compress}")
    with collecting.collected_by_systemd(machine.container):
        machine.service.reload()
        crash = machine.crash(Crash.SEGV)
    core, process = crash["core"], crash["process"]
    assert re.fullmatch(
        rf"{collecting.COLLECTION}/core\.asterisk\.\d+\.\w+\.{process['pid']}\.\d+{suffix}", core["path"]
    )
    assert core | {"source": "systemd-coredump", "state": "kept", "truncated": False} == core
    assert crash["diagnosis"]["crash_function"] == "write_hangup_cause"
    assert process["cwd"] == "/var/lib/asterisk"
    assert process["command_line"].startswith("/usr/sbin/asterisk -g")
    assert machine.container.run("stat", "--format=%h %U %a", core["path"]).stdout == "1 root 640\n"


def test_the_daemon_form_of_systemd_coredump_is_known_by_the_names_that_systemd_gives_it(machine: Machine) -> None:
    units = "/usr/lib/systemd/system"
    register = machine.container.run("cat", f"{units}/systemd-coredump-register.service").stdout
    pattern = re.search(r"kernel\.core_pattern=(@@[^\s\"]+)", register)
    daemon = re.search(r"BindsTo=(\S+)", register)

    assert pattern
    assert daemon
    assert core_pattern_of.parse(pattern[1]).feeds(COLLECTOR)
    name = f"core.asterisk.0.{'0f' * 16}.1.2"
    entry = {"_SYSTEMD_UNIT": daemon[1], "COREDUMP_FILENAME": name, "COREDUMP_CWD": "/"}
    assert COLLECTOR.parse_journal_entry(entry, name)


@contextmanager
def started_by_safe_asterisk(machine: Machine, action: str) -> Iterator[None]:
    """Asterisk under safe_asterisk, which moves its cores to another file system."""
    run = machine.container.run
    machine.service.configure(f"cores: {{action: {action}}}\n")
    run("systemctl", "stop", UNIT)
    run("install", "-d", "-m", "777", RUN_DIRECTORY, DROP)
    run("mount", "-t", "tmpfs", "tmpfs", DROP)
    variables = {"ASTSAFE_FOREGROUND": "1", "RUNDIR": RUN_DIRECTORY, "DUMPDROP": DROP}
    environment = [f"--setenv={name}={value}" for name, value in variables.items()]
    run("systemd-run", "--unit=pbx", *environment, "/usr/sbin/safe_asterisk", "-g", "-U", "asterisk")
    wait_until(lambda: running_asterisk(machine) != 0, "Asterisk to start")
    machine.service.reload()
    wait_until(lambda: "watching 3 directories" in machine.service.status(), "both directories are watched")
    yield


def running_asterisk(machine: Machine) -> int:
    """The pid of the Asterisk that answers on its console; 0 while none does."""
    if machine.container.run("asterisk", "-rx", "core waitfullybooted", check=False).returncode:
        return 0
    return int(machine.container.run("cat", "/run/asterisk/asterisk.pid").stdout)


@pytest.mark.parametrize(("action", "state"), [("leave", "left"), ("move", "kept")])
def test_a_core_that_safe_asterisk_moves_to_another_file_system_is_one_crash(
    machine: Machine, action: str, state: str
) -> None:
    with started_by_safe_asterisk(machine, action):
        how = next(each for each in machine.service.command("check").splitlines() if " asterisk " in each)
        assert "started by safe_asterisk" in how
        died = running_asterisk(machine)
        machine.container.run("asterisk", "-rx", "astbtd crash segv", check=False)
        machine.service.collected(died)
        wait_until(lambda: machine.service.collected(died)["core"]["path"].startswith(f"{DROP}/core."), "its new path")
        wait_until(lambda: running_asterisk(machine) not in (0, died), "Asterisk to start again")
    (crash,) = machine.service.listed()
    assert crash["core"]["state"] == state
    assert crash["diagnosis"]["crash_function"]
    assert machine.service.left_in(RUN_DIRECTORY) == ""
