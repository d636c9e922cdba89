"""Wherever a real system puts the cores of a real Asterisk, they are collected; what others keep is left to them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import scratch_directory
from tests.kernel import core_pattern

from .asterisk import UNIT, Crash
from .container import wait_until
from .machine import Machine, booted

COLLECTION = "/var/lib/systemd/coredump"

# Stands on this machine, where the kernel runs what core_pattern names, and goes on in the container, as the kernel of
# a machine of its own would: with the core on standard input and the process still in /proc.
FORWARD = """#!/bin/sh
container=$1
shift
exec nsenter --target="$container" --mount --uts --ipc --net --pid --cgroup --root --wd \\
    /usr/lib/systemd/systemd-coredump "$@"
"""


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
        wait_until(lambda: "watching 3 places" in machine.service.status(), "the private /tmp is watched")
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


@contextmanager
def collected_by_systemd(machine: Machine, *settings: str) -> Iterator[None]:
    """A container whose cores systemd-coredump keeps."""
    machine.container.write("/etc/systemd/coredump.conf.d/test.conf", "\n".join(["[Coredump]", *settings, ""]))
    machine.container.run("systemctl", "start", "systemd-coredump.socket")
    with scratch_directory() as directory:
        forward = directory / "forward"
        forward.write_text(FORWARD)
        forward.chmod(0o755)
        with core_pattern(f"|{forward} {machine.container.init} %p %u %g %s %t %c %h"):
            machine.service.reload()
            yield


@pytest.mark.parametrize(("compress", "suffix"), [("yes", r"\.zst"), ("no", "")])
def test_a_core_that_systemd_coredump_keeps_is_collected_and_left_there(
    machine: Machine, compress: str, suffix: str
) -> None:
    with collected_by_systemd(machine, f"Compress={compress}"):
        crash = machine.crash(Crash.SEGV)
    core, process = crash["core"], crash["process"]
    assert re.fullmatch(rf"{COLLECTION}/core\.asterisk\.\d+\.\w+\.{process['pid']}\.\d+{suffix}", core["path"])
    assert core | {"source": "systemd-coredump", "state": "kept", "truncated": False} == core
    assert crash["diagnosis"]["crash_function"] == "write_hangup_cause"
    assert process["cwd"] == "/var/lib/asterisk"
    assert process["command_line"].startswith("/usr/sbin/asterisk -g")
    assert machine.container.run("stat", "--format=%h %U %a", core["path"]).stdout == "1 root 640\n"
