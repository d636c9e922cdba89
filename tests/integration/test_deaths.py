"""A death of the PBX without a core is recorded once, with cause and remedy; a late core replaces the record."""

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from astbtd.elf.core_notes import read_facts
from astbtd.model.crash import CoreState, IdentityFrom, ReplacedRecord
from tests.support.bugsink import BUGSINK_IS_MISSING, bugsink, issue_key
from tests.support.commands import extract, run_astbtd
from tests.support.contained import contained_asterisk, crash_in_container
from tests.support.harness import RunningDaemon, crash
from tests.support.notifying import TrackerNotifications
from tests.support.tracker_stub import tracker_stub

KERNEL = {"_TRANSPORT": "kernel", "_BOOT_ID": "0f" * 16}
SYSTEMD = {
    "_PID": "1",
    "_UID": "0",
    "_BOOT_ID": "0f" * 16,
    "MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15",
    "UNIT": "asterisk.service",
    "INVOCATION_ID": "ab" * 16,
}
SEGFAULT_OF_UNIT = {**SYSTEMD, "EXIT_CODE": "dumped", "EXIT_STATUS": "11"}
SEGFAULT = (
    "asterisk[4242]: segfault at 10 ip 00007f1200001234 sp 00007ffd00000000 error 4 in app_dial.so[7f1200000000+9000]"
)
OOM = "Out of memory: Killed process 4242 (asterisk) total-vm:900000kB, anon-rss:800000kB, UID:110 pgtables:1kB"


@pytest.fixture
def journal(running: RunningDaemon, spool: Path) -> Path:
    """The file with the entries of the journal of a daemon, which has looked for deaths once and is not running."""
    entries = running.configuration.with_name("entries")
    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}, "retention": {"minimum_free": "0%"}})
    running.wrapper = (sys.executable, "-m", "tests.support.faulty_daemon", "replace-journal")
    running.environment = {"FAULT_ENTRIES": str(entries)}
    running.start()
    mark = running.store.incoming / "deaths"
    running.wait_until(mark.exists, "the first look for deaths")
    running.stop()
    return entries


def start(running: RunningDaemon) -> None:
    """Start the daemon as if it had looked for deaths last five minutes ago."""
    (running.store.incoming / "deaths").write_text(f"{time.time() - 300}\n")
    running.start()


def log(journal: Path, *entries: Mapping[str, object], seconds_ago: float = 60.0) -> None:
    """Write entries into the journal, all at once, a tenth of a second apart."""
    start = time.time() - seconds_ago
    lines = [json.dumps({**entry, "at": start + number / 10}) for number, entry in enumerate(entries)]
    temporary = journal.with_name("entries.new")
    temporary.write_text("\n".join(lines))
    temporary.rename(journal)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def pid_of(core: Path) -> int | None:
    with core.open("rb") as file:
        return read_facts(file.fileno()).process.pid


def test_a_death_by_a_signal_is_recorded_with_its_cause_its_site_and_the_remedy(
    running: RunningDaemon, journal: Path
) -> None:
    log(journal, {**KERNEL, "MESSAGE": SEGFAULT}, {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "11"})

    start(running)
    (recorded,) = running.wait_for_crashes(1)

    assert (recorded.core.state, recorded.core.identity_from) == (CoreState.NONE, IdentityFrom.DEATH)
    assert recorded.signal is not None
    assert recorded.signal.name == "SIGSEGV"
    assert recorded.site is not None
    assert [(frame.object, frame.offset) for frame in recorded.site.frames] == [("app_dial.so", "0x1234")]
    assert "segfault at 10" in recorded.diagnosis.reasons[0]
    assert "astbtd check" in recorded.diagnosis.advice[0]
    assert "Asterisk was terminated by SIGSEGV, but no core appeared" in running.output()


def test_a_death_by_the_oom_killer_is_recorded(running: RunningDaemon, journal: Path) -> None:
    log(journal, {**KERNEL, "MESSAGE": OOM}, {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "9"})

    start(running)
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.NONE
    assert "out of memory" in recorded.diagnosis.reasons[0]


def test_a_death_is_recorded_once_even_after_a_restart(running: RunningDaemon, journal: Path) -> None:
    entries = ({**KERNEL, "MESSAGE": SEGFAULT}, {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "11"})
    log(journal, *entries)
    start(running)
    running.wait_for_crashes(1)
    running.stop()
    mark = running.store.incoming / "deaths"

    start(running)
    running.wait_until(lambda: float(mark.read_text()) > time.time() - 200, "another look for deaths")

    assert len(running.crashes()) == 1


def test_entries_that_others_wrote_and_kills_on_purpose_are_not_recorded(running: RunningDaemon, journal: Path) -> None:
    unit = {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "11"}
    forged = [
        {**KERNEL, "_TRANSPORT": "journal", "MESSAGE": SEGFAULT},
        {**unit, "_PID": "77"},
        {**unit, "_UID": "1000"},
        {**unit, "UNIT": "other.service"},
        {**unit, "EXIT_STATUS": "9"},
        {**KERNEL, "MESSAGE": SEGFAULT.replace("asterisk", "perl")},
        {**KERNEL, "MESSAGE": SEGFAULT},  # any user may run a program called asterisk
    ]
    log(journal, *forged, {**unit, "EXIT_STATUS": "6", "INVOCATION_ID": "cd" * 16})

    start(running)
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.signal is not None
    assert recorded.signal.name == "SIGABRT"


def test_a_death_whose_core_was_collected_is_not_recorded(
    running: RunningDaemon, programs: Path, spool: Path, journal: Path
) -> None:
    start(running)
    core = crash(programs, spool.parent, "segv")
    written = time.time() - 60
    os.utime(core, (written, written))
    core.rename(spool / "core")
    running.wait_for_crashes(1)
    running.stop()

    log(
        journal,
        {**SYSTEMD, "EXIT_CODE": "dumped", "EXIT_STATUS": "11"},
        {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "6", "INVOCATION_ID": "cd" * 16},
        seconds_ago=58,
    )
    start(running)
    without_core, with_core = running.wait_for_crashes(2)

    assert [each.core.state for each in (without_core, with_core)] == [CoreState.NONE, CoreState.KEPT]
    assert without_core.signal is not None
    assert without_core.signal.name == "SIGABRT"


def test_a_death_in_a_container_whose_core_was_collected_is_not_recorded(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path, journal: Path
) -> None:
    """The kernel names the process by its id on this machine, the core by that in the container."""
    root = scratch / "root"
    root.mkdir()
    with contained_asterisk(programs, root, spool) as container:
        outer = child_of(child_of(container.pid))
        start(running)
        running.wait_until(lambda: "it runs in a container" in running.manager.status, "the process to be seen")
        crash_in_container(container)
        (contained,) = running.wait_for_crashes(1)

    death = {**KERNEL, "MESSAGE": SEGFAULT.replace("4242", str(outer))}
    marker = {**SYSTEMD, "EXIT_CODE": "killed", "EXIT_STATUS": "4"}
    log(journal, death, marker, seconds_ago=15)
    recorded = running.wait_for_crashes(2)

    assert contained.process.pid != outer
    assert [each.signal.name for each in recorded if each.signal and each.core.state is CoreState.NONE] == ["SIGILL"]


@pytest.mark.parametrize(("left_as", "is_lost"), [("core", True), ("core.{pid}", False)])
def test_a_core_that_another_program_of_the_unit_has_replaced_is_recorded_as_lost(
    running: RunningDaemon, programs: Path, spool: Path, journal: Path, left_as: str, is_lost: bool
) -> None:
    other = crash(programs, spool.parent, "segv", program="bystander")
    pid = pid_of(other)
    written = time.time() - 60
    os.utime(other, (written, written))
    left = other.rename(spool / left_as.format(pid=pid))
    log(journal, {**SYSTEMD, "EXIT_CODE": "dumped", "EXIT_STATUS": "6"}, seconds_ago=58)

    start(running)
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is (CoreState.LOST if is_lost else CoreState.NONE)
    assert (f"{programs}/bystander dumped core at the same time" in recorded.diagnosis.reasons[0]) is is_lost
    assert ("kernel.core_uses_pid=1" in recorded.diagnosis.advice[0]) is is_lost
    assert left.exists()


def test_a_core_that_turns_up_later_replaces_the_record_without_a_core(
    running: RunningDaemon, programs: Path, spool: Path, journal: Path
) -> None:
    log(journal, SEGFAULT_OF_UNIT, seconds_ago=60)
    start(running)
    (without_core,) = running.wait_for_crashes(1)
    core = crash(programs, spool.parent, "segv")
    written = without_core.crashed_at.timestamp() - 1
    os.utime(core, (written, written))

    core.rename(spool / "core")
    running.wait_until(lambda: running.store.ids() != [without_core.id], "the core")
    (recorded,) = running.wait_for_crashes(1)

    assert recorded.core.state is CoreState.KEPT
    assert recorded.id != without_core.id


@pytest.mark.skipif(BUGSINK_IS_MISSING, reason="Bugsink is not installed: make trackers")
def test_a_core_that_turns_up_later_counts_once_in_a_real_tracker_and_its_issue_has_the_signature(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path, journal: Path
) -> None:
    notifications = TrackerNotifications(running, scratch / "astbtd-notify")
    log(journal, {**KERNEL, "MESSAGE": SEGFAULT}, SEGFAULT_OF_UNIT, seconds_ago=60)
    start(running)
    (without_core,) = running.wait_for_crashes(1)
    with bugsink(scratch / "bugsink") as tracker:
        notifications.configure(tracker.dsn)
        notifications.send()
        core = crash(programs, spool.parent, "segv")
        written = without_core.crashed_at.timestamp() - 1
        os.utime(core, (written, written))
        recorded = extract(running, core)
        for _ in range(2):
            notifications.send()

        assert recorded.signature is not None
        assert without_core.site is not None
        assert recorded.replaces == ReplacedRecord(without_core.id, without_core.site.id)
        assert tracker.counts()[issue_key(("astbtd", "signature", recorded.signature.id))] == 1
        assert tracker.tag_values("report") == {"first": 1, "corrected": 1}


@pytest.mark.parametrize("how", ["running daemon", "daemon restarted", "extract"])
def test_a_core_that_turns_up_later_is_no_second_crash_for_an_error_tracker(
    running: RunningDaemon, programs: Path, spool: Path, scratch: Path, journal: Path, how: str
) -> None:
    notifications = TrackerNotifications(running, scratch / "astbtd-notify")
    log(journal, SEGFAULT_OF_UNIT, seconds_ago=60)
    start(running)
    (without_core,) = running.wait_for_crashes(1)
    with tracker_stub() as stub:
        notifications.configure(stub.dsn)
        notifications.send()
        core = crash(programs, spool.parent, "segv")
        written = without_core.crashed_at.timestamp() - 1
        os.utime(core, (written, written))

        if how == "daemon restarted":
            running.stop()
        if how == "extract":
            extract(running, core)
        else:
            core.rename(spool / "core")
        if how == "daemon restarted":
            running.start()
        running.wait_until(lambda: running.store.ids() != [without_core.id], "the core")
        (recorded,) = running.wait_for_crashes(1)
        notifications.send()
        notifications.send()

        reports = [received.event["tags"]["report"] for received in stub.received]
    counted = re.findall(r"^astbtd_crashes\{.*\} (.*)$", run_astbtd(running, "metrics", "--print").stdout, re.MULTILINE)
    assert counted == ["1.0"]
    assert recorded.pbx
    assert recorded.pbx.crashes == 1, "in the hour before"
    shown = run_astbtd(running, "show", without_core.id, "--json")
    assert json.loads(shown.stdout)["id"] == recorded.id
    assert recorded.core.state is (CoreState.LEFT if how == "extract" else CoreState.KEPT)
    assert reports == ["first", "corrected"]
