"""astbtd on the oldest supported Debian and on the next one, with Debian's packages only."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.containers.asterisk import WORKING_DIRECTORY
from tests.support.containers.container import wait_until
from tests.support.containers.image import BOOKWORM, TRIXIE
from tests.support.containers.service import HIGHEST_EXPOSURES, STORE, Record
from tests.support.containers.stand_in import check_record
from tests.support.containers.stand_in_machine import StandInMachine, booted

QUIET = """#!/bin/sh
chrt --pid $$; ionice --pid=$$; nice; echo
exec gdb "$@"
"""
"""A gdb that writes its priorities to its log first."""

PACKAGES = ("gdb", "python3", "python3-pyinotify", "python3-systemd", "python3-watchdog", "python3-yaml", "systemd")

_IMPORTED = """
import json, pyinotify, sys, systemd, watchdog, yaml, zstandard
modules = (pyinotify, systemd, watchdog, yaml, zstandard)
print(json.dumps([sys.executable, *(module.__file__ for module in modules)]))
"""


@pytest.fixture(
    scope="module", params=[pytest.param(BOOKWORM, marks=pytest.mark.end_to_end), TRIXIE], ids=lambda suite: suite.name
)
def machine(request: pytest.FixtureRequest) -> Iterator[StandInMachine]:
    with booted(StandInMachine, request.param) as machine:
        machine.service.start()
        yield machine


@pytest.fixture(scope="module")
def crash(machine: StandInMachine) -> Record:
    """The first crash of the machine."""
    return machine.crash()


def test_it_runs_on_debians_own_packages_alone(
    machine: StandInMachine, record_property: Callable[[str, object], None]
) -> None:
    versions = machine.container.run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *PACKAGES).stdout
    record_property("packages", versions.splitlines())
    program, *modules = json.loads(machine.container.run("/usr/local/lib/astbtd/bin/python3", "-c", _IMPORTED).stdout)
    assert program == "/usr/local/lib/astbtd/bin/python3"
    assert {module.partition("dist-packages")[0] for module in modules} == {"/usr/lib/python3/"}
    assert machine.container.run("dpkg", "--verify", *PACKAGES).stdout == ""


def test_a_crash_is_recorded(crash: Record) -> None:
    check_record(crash)


def test_the_journal_has_the_crash_and_explains_it(machine: StandInMachine, crash: Record) -> None:
    (entry,) = machine.service.entries(ASTBTD_ID=crash["id"])
    assert entry["ASTBTD_CRASH_FUNCTION"] == "do_forward"
    assert json.loads(entry["ASTBTD_RECORD"])["id"] == crash["id"]
    explained = machine.container.run("journalctl", "-x", f"ASTBTD_ID={crash['id']}").stdout
    assert "Subject: Asterisk crashed: SIGSEGV in do_forward" in explained
    assert f"`astbtd show {crash['id']}` explains the verdict" in explained


def test_the_status_shows_the_crash(machine: StandInMachine, crash: Record) -> None:
    shown = f"SIGSEGV in do_forward ({crash['diagnosis']['verdict']})"
    wait_until(lambda: shown in machine.service.status(), f"the status shows {shown}")


def test_the_command_shows_the_crash(machine: StandInMachine, crash: Record) -> None:
    assert crash["id"] in machine.service.command("list")
    assert machine.service.command("show").startswith("Asterisk crashed: SIGSEGV")
    assert machine.service.command("core", crash["id"]).startswith("\x7fELF")


def test_nothing_is_left_where_asterisk_works(machine: StandInMachine, crash: Record) -> None:
    assert crash["core"]["state"] == "kept"
    assert machine.service.left_in(WORKING_DIRECTORY) == ""


def test_members_of_the_group_read_the_report_and_others_do_not(machine: StandInMachine, crash: Record) -> None:
    machine.container.run("useradd", "--groups=astbtd", "reader")
    for user, status in (("reader", 0), ("nobody", 1)):
        show = machine.container.run("runuser", f"--user={user}", "--", "astbtd", "show", crash["id"], check=False)
        assert show.returncode == status


def test_the_unit_is_what_systemd_expects(machine: StandInMachine) -> None:
    assert machine.service.unit_warnings() == ""


@pytest.mark.parametrize("unit", HIGHEST_EXPOSURES)
def test_the_sandbox_of_each_unit_is_tight(
    machine: StandInMachine, unit: str, record_property: Callable[[str, object], None]
) -> None:
    exposure = machine.service.exposure(unit)
    record_property("exposure", exposure)
    assert exposure <= HIGHEST_EXPOSURES[unit]
    verified = machine.container.run("systemd-analyze", "verify", "--man=no", unit)
    assert verified.stdout + verified.stderr == ""


def test_the_daemon_has_a_lower_priority_than_the_pbx(machine: StandInMachine) -> None:
    daemon = machine.service.property("MainPID")
    assert machine.container.run("ps", "-o", "nice=", "--pid", daemon).stdout.strip() == "10"
    assert machine.container.run("ionice", f"--pid={daemon}").stdout.strip() == "best-effort: prio 7"
    assert [machine.service.property(name) for name in ("CPUWeight", "IOWeight", "OOMPolicy")] == [
        "10",
        "10",
        "continue",
    ]


@pytest.mark.usefixtures("crash")
def test_gdb_runs_at_idle_priority(machine: StandInMachine) -> None:
    machine.service.replace_gdb(QUIET)
    log = f"{STORE}/crashes/{machine.crash()['id']}/gdb.log"
    lines = machine.container.run("cat", log).stdout.partition("\n\n")[0].splitlines()
    assert lines[0].endswith("SCHED_IDLE")
    assert lines[-2:] == ["idle", "19"]


@pytest.mark.usefixtures("crash")
def test_a_polled_directory_is_watched_as_well(machine: StandInMachine) -> None:
    machine.service.configure(f"watch: {{poll: [{WORKING_DIRECTORY}]}}\n")
    machine.service.reload()
    threads = machine.container.run("sh", "-c", f"ls /proc/{machine.service.property('MainPID')}/task | wc -l").stdout
    assert int(threads) >= 4

    assert machine.crash()["core"]["found"] == "event"


@pytest.mark.usefixtures("crash")
def test_settings_are_changed_by_reload(machine: StandInMachine) -> None:
    machine.service.configure("cores: {action: delete}\n")
    machine.service.reload()

    assert machine.crash()["core"]["state"] == "removed"


def test_an_invalid_configuration_is_rejected_at_reload_and_fatal_at_start(machine: StandInMachine) -> None:
    machine.service.configure("gdb: {time: soon}\n")
    reload = machine.container.run("systemctl", "reload", "astbtd", check=False)
    assert reload.returncode != 0
    assert machine.service.property("ActiveState") == "active"

    machine.container.run("systemctl", "restart", "astbtd", check=False)

    assert machine.service.property("ExecMainStatus") == "78"
    assert machine.service.property("NRestarts") == "0"
    machine.service.configure("")
    machine.service.start()


def test_uninstall_keeps_the_store(machine: StandInMachine, crash: Record) -> None:
    machine.service.uninstall()

    assert machine.service.property("LoadState") == "not-found"
    assert machine.container.run("cat", f"{STORE}/crashes/{crash['id']}/report.txt").stdout.startswith(
        "Asterisk crashed"
    )
