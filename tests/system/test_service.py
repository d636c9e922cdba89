"""astbtd as a service: the daemon in its sandbox collects the cores of a real Asterisk that systemd runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astbtd.announce.journal import Event
from astbtd.extraction.sandbox_kernel import landlock_version
from tests.support import time_slice
from tests.support.containers.asterisk import CORE, WORKING_DIRECTORY, Crash
from tests.support.containers.container import wait_until
from tests.support.containers.image import FORKY
from tests.support.containers.machine import Machine, booted
from tests.support.containers.service import CONFIGURATION, HIGHEST_EXPOSURES, STORE, UNIT, WAITING_GDB, Record
from tests.support.documented import COMMANDS, crashed_frames, frames
from tests.support.kernel import needs_time_slices
from tests.support.time_slice import LONGEST

CRASH_COLLECTED = Event.CRASH_COLLECTED.value
CONFIGURATION_REJECTED = Event.CONFIGURATION_REJECTED.value

OPEN = "/srv/open"
"""A directory that all users may write to."""

BAD_CONFIGURATION = "cores: {action: delete}\ngdb: {time: soon}\n"

# A gdb that first writes to its log who it is, and what it may read and write.
PROBING_GDB = f"""#!/bin/sh
may_read() {{ head -c 1 "$1" >/dev/null 2>&1 && echo yes || echo no; }}
may_write() {{ (: >"$1/probe") 2>/dev/null && echo yes || echo no; }}
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs):' /proc/$$/status
echo "store: $(may_read {STORE}/incoming/lock)"
echo "shadow: $(may_read /etc/shadow)"
echo "interfaces: $(grep -c : /proc/net/dev)"
for place in /tmp /var/tmp /dev/shm /run/lock . {OPEN}; do echo "$place: $(may_write $place)"; done
echo
exec gdb "$@"
"""


@pytest.fixture(
    scope="module", params=[pytest.param(FORKY, marks=pytest.mark.end_to_end)], ids=lambda suite: suite.name
)
def machine() -> Iterator[Machine]:
    """One machine for all tests that only read and crash."""
    with booted() as machine:
        yield machine


@pytest.fixture
def own_machine() -> Iterator[Machine]:
    """A machine for one test that changes its configuration."""
    with booted() as machine:
        yield machine


@pytest.fixture(scope="module")
def crash(machine: Machine) -> Record:
    """The first crash of the machine."""
    return machine.crash(Crash.SEGV)


def test_a_crash_is_recorded(crash: Record) -> None:
    assert crash["signal"]["name"] == "SIGSEGV"
    assert crash["diagnosis"]["crash_function"] == "write_hangup_cause"
    assert crash["extraction"]["ended"] == "ok"
    assert crash["signature"]["occurrence"] == 1
    assert crash["core"] | {"path": CORE, "found": "event", "state": "kept", "truncated": False} == crash["core"]


def test_the_record_has_version_and_build_options_of_asterisk(machine: Machine, crash: Record) -> None:
    settings = " ".join(machine.asterisk.console("core show settings").split())
    assert f" Version: {crash['asterisk']['version']} " in settings
    assert f" All Build Options: {', '.join(crash['asterisk']['build_options'])} " in settings
    assert crash["asterisk"]["dont_optimize"] is False


def test_the_journal_has_one_entry_for_a_crash(machine: Machine, crash: Record) -> None:
    (entry,) = machine.service.entries(ASTBTD_ID=crash["id"])
    expected = {
        "MESSAGE_ID": CRASH_COLLECTED,
        "ASTBTD_SIGNATURE": crash["signature"]["id"],
        "ASTBTD_SIGNAL": "SIGSEGV",
        "ASTBTD_CRASH_FUNCTION": "write_hangup_cause",
        "ASTBTD_VERDICT": crash["diagnosis"]["verdict"],
        "ASTBTD_OCCURRENCE": "1",
        "ASTBTD_PATH": f"{STORE}/crashes/{crash['id']}",
        "SYSLOG_IDENTIFIER": "astbtd",
    }
    assert entry | expected == entry


def test_the_journal_carries_the_record(machine: Machine, crash: Record) -> None:
    (entry,) = machine.service.entries(ASTBTD_ID=crash["id"])
    announced = json.loads(entry["ASTBTD_RECORD"])
    set_later = {"announced_at": crash["announced_at"], "core": announced["core"] | {"state": "kept"}}
    assert announced | set_later == crash


@pytest.mark.parametrize("event", Event)
def test_the_journals_catalog_explains_every_event(machine: Machine, event: Event) -> None:
    assert "Defined-By: astbtd" in machine.container.run("journalctl", "--dump-catalog", event.value).stdout


@pytest.mark.usefixtures("crash")
def test_the_status_shows_the_last_crash(machine: Machine) -> None:
    last = machine.service.listed()[0]
    shown = f": {last['signal']['name']} in {last['diagnosis']['crash_function']} ({last['diagnosis']['verdict']})"
    wait_until(lambda: shown in machine.service.status(), f"the status shows{shown}")


def test_show_prints_the_report(machine: Machine, crash: Record) -> None:
    report = machine.service.command("show", crash["id"])
    assert report.startswith("Asterisk crashed: SIGSEGV (Segmentation fault, address 0x0) in write_hangup_cause\n")
    assert crash["asterisk"]["version"] in report
    assert "hang_up_leg (name=" in report


def test_list_has_the_crash(machine: Machine, crash: Record) -> None:
    (line,) = [line for line in machine.service.command("list").splitlines() if line.endswith(f" {crash['id']}")]
    assert "SIGSEGV" in line
    assert "write_hangup_cause" in line


def test_the_backtrace_has_every_thread(machine: Machine, crash: Record) -> None:
    backtrace = machine.service.command("show", crash["id"], "--section", "backtrace")
    assert backtrace.count("\nThread ") == crash["diagnosis"]["threads"]
    assert "ast_cli_command_multiple_full" in backtrace


def test_the_backtrace_is_what_the_documentations_command_prints_and_bt(machine: Machine, crash: Record) -> None:
    machine.service.command("core", crash["id"], "--output", "/root/core")
    expected = machine.container.run("gdb", "-se", "/usr/sbin/asterisk", *COMMANDS, "-c", "/root/core").stdout

    backtrace = machine.service.command("show", crash["id"], "--section", "backtrace")

    assert frames(backtrace) == frames(expected)
    assert len(frames(expected)) > 500


def test_debug_shows_the_frames_of_the_backtrace(machine: Machine, crash: Record) -> None:
    backtrace = machine.service.command("show", crash["id"], "--section", "backtrace")

    shown = machine.service.command("debug", crash["id"], "--", "-batch", "-ex", "bt")

    assert crashed_frames(shown) == crashed_frames(backtrace)
    assert "in write_hangup_cause (" in shown


def test_texts_are_readable_by_the_group_and_the_core_by_root_only(machine: Machine, crash: Record) -> None:
    modes = machine.container.modes_below(STORE)
    directory = f"crashes/{crash['id']}"
    assert {modes[path] for path in ("", "crashes", directory)} == {"750 root:astbtd"}
    assert modes["incoming"].startswith("700 root:")
    assert modes.pop(f"{directory}/core.zst").startswith("600 root:")
    texts = [path for path in modes if path.startswith(f"{directory}/")]
    assert {"crash.json", "report.txt", "backtrace.txt"} <= {path.rpartition("/")[2] for path in texts}
    assert {modes[path] for path in texts} == {"640 root:astbtd"}


def without_state(report: str) -> tuple[str, str]:
    """Return what is before and after the state of the PBX, of which only readers of the journal see everything."""
    before, _, after = report.partition("Running: ")
    return before, after.partition("Seen: ")[2]


def test_members_of_the_group_read_the_report(machine: Machine, crash: Record) -> None:
    machine.container.run("useradd", "--groups=astbtd", "reader")
    report = machine.container.run("runuser", "--user=reader", "--", "astbtd", "show", crash["id"]).stdout
    assert "Good enough to file?" in report
    assert without_state(report) == without_state(machine.service.command("show", crash["id"]))


def test_other_users_read_nothing_and_get_a_hint(machine: Machine, crash: Record) -> None:
    denied = machine.container.run("runuser", "--user=nobody", "--", "astbtd", "show", crash["id"], check=False)
    assert (denied.returncode, denied.stdout) == (1, "")
    assert "adduser USER astbtd" in denied.stderr


@pytest.mark.usefixtures("crash")
def test_nothing_is_left_where_asterisk_works(machine: Machine) -> None:
    assert machine.service.left_in(WORKING_DIRECTORY) == ""


def test_later_crashes_are_collected_and_counted(machine: Machine, crash: Record) -> None:
    another = machine.crash(Crash.DOUBLE_FREE)
    again = machine.crash(Crash.SEGV)

    assert [record["id"] for record in machine.service.listed()[:2]] == [again["id"], another["id"]]
    assert another["signal"]["name"] == "SIGABRT"
    assert another["signature"]["occurrence"] == 1
    assert again["signature"]["id"] == crash["signature"]["id"]
    assert again["signature"]["occurrence"] == 2


def test_the_unit_is_what_systemd_expects(machine: Machine) -> None:
    assert machine.service.unit_warnings() == ""


def test_the_sandbox_is_on(machine: Machine) -> None:
    daemon = machine.container.run("cat", f"/proc/{machine.service.property('MainPID')}/status").stdout
    assert "\nNoNewPrivs:\t1\n" in daemon
    assert "\nSeccomp:\t2\n" in daemon


def test_the_sandbox_is_tight(machine: Machine, record_property: Callable[[str, object], None]) -> None:
    exposure = machine.service.exposure(UNIT)
    record_property("exposure", exposure)
    assert exposure <= HIGHEST_EXPOSURES[UNIT]


@needs_time_slices
def test_the_sandbox_permits_that_others_preempt_the_worker(machine: Machine) -> None:
    source = Path(time_slice.__file__).read_text()
    slices = machine.container.run("python3", "-c", source, machine.service.property("MainPID")).stdout.split()
    assert str(LONGEST) in slices


def test_reload_applies_new_settings(own_machine: Machine) -> None:
    own_machine.service.configure("cores: {action: delete}\n")
    own_machine.service.reload()

    assert own_machine.crash(Crash.SEGV)["core"]["state"] == "removed"


def test_systemctl_reload_fails_with_an_invalid_configuration(own_machine: Machine) -> None:
    own_machine.service.configure(BAD_CONFIGURATION)

    done = own_machine.container.run("systemctl", "reload", "astbtd", check=False)

    assert done.returncode != 0
    assert own_machine.service.property("ActiveState") == "active"
    assert "watching 1 directory" in own_machine.service.property("StatusText")


def test_sighup_with_an_invalid_configuration_keeps_the_old_one_and_reports_it(own_machine: Machine) -> None:
    own_machine.service.configure(BAD_CONFIGURATION)
    own_machine.container.run("systemctl", "kill", "--signal=HUP", "astbtd")
    wait_until(lambda: bool(own_machine.service.entries(MESSAGE_ID=CONFIGURATION_REJECTED)), "the rejection is logged")

    (entry,) = own_machine.service.entries(MESSAGE_ID=CONFIGURATION_REJECTED)
    assert "gdb.time: must be" in entry["MESSAGE"]
    wait_until(lambda: "old settings in force" in own_machine.service.property("StatusText"), "the status reports it")
    status = own_machine.service.property("StatusText")
    assert "gdb.time: must be" in status
    assert "watching 1 directory" in status
    assert own_machine.crash(Crash.SEGV)["core"]["state"] == "kept"


def test_an_invalid_configuration_at_start_is_fatal(own_machine: Machine) -> None:
    own_machine.service.configure(BAD_CONFIGURATION)
    own_machine.container.run("systemctl", "restart", "astbtd", check=False)

    assert own_machine.service.property("ActiveState") == "failed"
    assert own_machine.service.property("ExecMainStatus") == "78"
    assert own_machine.service.property("NRestarts") == "0"
    assert "gdb.time" in own_machine.service.status()
    errors = own_machine.container.run("journalctl", "--unit=astbtd", "--priority=err", "--output=cat").stdout
    assert any("1 error; gdb.time: must be" in line for line in errors.splitlines())


@pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
def test_gdb_can_only_read_the_core_and_write_its_sections(own_machine: Machine) -> None:
    own_machine.container.run("install", "-d", "-m", "777", OPEN)
    own_machine.service.replace_gdb(PROBING_GDB)

    collected = own_machine.crash(Crash.SEGV)

    assert collected["extraction"]["ended"] == "ok"
    log = own_machine.container.run("cat", f"{STORE}/crashes/{collected['id']}/gdb.log").stdout
    probed = log.partition("\n\n")[0]
    user = own_machine.container.run("id", "--user", "astbtd-gdb").stdout.strip()
    group = own_machine.container.run("id", "--group", "astbtd-gdb").stdout.strip()
    assert {name: value.split() for name, value in (line.split(":") for line in probed.splitlines())} == {
        "Uid": 4 * [user],
        "Gid": 4 * [group],
        "Groups": [],
        **{name: ["0000000000000000"] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "NoNewPrivs": ["1"],
        "store": ["no"],
        "shadow": ["no"],
        "interfaces": ["1"],
        **{place: ["no"] for place in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", ".", OPEN)},
    }


def test_a_killed_daemon_resumes_its_work(own_machine: Machine) -> None:
    own_machine.service.replace_gdb(WAITING_GDB)

    crashed = own_machine.asterisk.crash(Crash.SEGV)
    own_machine.service.wait_for_waiting_gdb()
    own_machine.container.run("systemctl", "kill", "--signal=KILL", "astbtd")

    collected = own_machine.service.collected(crashed)
    assert collected["extraction"]["ended"] == "ok"
    assert own_machine.service.listed() == [collected]
    assert len(own_machine.service.entries(MESSAGE_ID=CRASH_COLLECTED)) == 1
    assert own_machine.service.left_in(WORKING_DIRECTORY) == ""


@pytest.mark.parametrize(
    ("directory", "owner", "mode"),
    [("/srv/pbx", "asterisk", "755"), ("/home/pbx", "asterisk", "700"), ("/srv/shared", "root", "1777")],
)
def test_a_new_working_directory_of_asterisk_is_watched_before_a_crash(
    own_machine: Machine, directory: str, owner: str, mode: str
) -> None:
    own_machine.container.run("install", "-d", "-o", owner, "-m", mode, directory)
    own_machine.asterisk.start_in(directory)
    wait_until(lambda: "watching 2 directories" in own_machine.service.status(), "the new directory is watched")

    core = own_machine.crash(Crash.SEGV)["core"]

    assert core | {"path": f"{directory}/core", "found": "event", "state": "kept"} == core
    assert own_machine.service.left_in(directory) == ""


def test_an_upgrade_restarts_the_daemon(own_machine: Machine) -> None:
    before = own_machine.service.property("MainPID")
    own_machine.service.install()
    assert own_machine.service.property("MainPID") not in (before, "0")
    assert own_machine.service.property("ActiveState") == "active"


def test_uninstall_keeps_the_store_of_the_service(own_machine: Machine) -> None:
    own_machine.crash(Crash.SEGV)
    kept = own_machine.container.modes_below(f"{STORE}/crashes")

    own_machine.service.uninstall()

    assert own_machine.service.property("LoadState") == "not-found"
    assert own_machine.service.installed() == [CONFIGURATION]
    assert own_machine.container.modes_below(f"{STORE}/crashes") == kept
