"""A crash of a stripped Asterisk becomes usable without intervention: by a server, by hand, after an upgrade."""

from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk import Crash
from tests.support.containers.container import wait_until
from tests.support.containers.machine import Machine
from tests.support.containers.service import Record
from tests.support.containers.stripped import SERVER, StrippedAsterisk, booted_stripped
from tests.support.documented import crashed_frames

CRASH_MODULE = "/usr/lib/x86_64-linux-gnu/asterisk/modules/res_astbtd_crash.so"
RESCAN = "watch: {rescan: 2s}\n"


@pytest.fixture
def stripped() -> Iterator[StrippedAsterisk]:
    """A machine with a stripped Asterisk whose debug files are not installed."""
    with booted_stripped() as stripped:
        stripped.machine.service.configure(RESCAN)
        stripped.machine.service.reload()
        yield stripped


def wait_until_usable(machine: Machine, before: Record) -> Record:
    """Wait for the one journal entry about a crash that became usable, and return its record."""
    message_id = {"MESSAGE_ID": "3d5d0347bbd44fac833ab40622c4acf2"}
    wait_until(lambda: bool(machine.service.entries(**message_id)), "the crash becomes usable", 300)
    (entry,) = machine.service.entries(**message_id)
    assert entry["ASTBTD_ID"] == before["id"]
    (after,) = machine.service.listed()
    return after


def check_improvement(before: Record, after: Record) -> None:
    """Check that a crash was not usable, and is it now, with the frames of the real crash."""
    assert before["diagnosis"]["verdict"] in ("unusable", "partial")
    assert before["diagnosis"]["crash_function"] != "write_hangup_cause"
    assert after["diagnosis"]["verdict"] == "usable"
    assert after["diagnosis"]["crash_function"] == "write_hangup_cause"
    assert after["signature"]["text"] == "fault in write_hangup_cause"
    assert [run["why"] for run in after["extraction_history"]] == [
        "the core was collected",
        *["debug files have appeared"] * (len(after["extraction_history"]) - 1),
    ]


def test_debug_files_come_from_a_server(stripped: StrippedAsterisk) -> None:
    machine = stripped.machine
    before = machine.crash(Crash.SEGV)

    stripped.serve_debug_files()
    machine.service.configure(f"{RESCAN}symbols: {{debuginfod: ['{SERVER}']}}\n")
    machine.service.reload()

    after = wait_until_usable(machine, before)
    check_improvement(before, after)
    assert "write_hangup_cause (" in machine.service.command("show", after["id"], "--section", "thread1")


def test_debug_files_are_installed_by_hand(stripped: StrippedAsterisk) -> None:
    before = stripped.machine.crash(Crash.SEGV)

    stripped.install_debug_files()

    check_improvement(before, wait_until_usable(stripped.machine, before))


def test_program_and_modules_were_replaced_by_another_build(stripped: StrippedAsterisk) -> None:
    machine = stripped.machine
    before = machine.crash(Crash.SEGV)
    needed = {each["build_id"] for each in before["objects"]}
    wait_until(lambda: needed <= stripped.kept_objects(), "the objects of the crash are kept")

    stripped.replace_by_another_build()
    machine.asterisk.restart()
    stripped.install_debug_files()

    after = wait_until_usable(machine, before)
    check_improvement(before, after)
    states = {each["path"]: each["state"] for each in after["objects"]}
    assert states["/usr/sbin/asterisk"] == "kept"
    assert states[CRASH_MODULE] == "kept"
    extracted = machine.service.command("show", after["id"], "--section", "backtrace")
    in_gdb = machine.service.command("debug", after["id"], "--", "-batch", "-ex", "bt")
    assert crashed_frames(in_gdb) == crashed_frames(extracted)
