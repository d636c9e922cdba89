"""What is announced reaches a real journald: at once, or, if that is absent or stuck for a while, afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce.journal import Event
from astbtd.lib.serialization import plain
from astbtd.model.crash import Crash
from tests.support.harness import RunningDaemon, crash
from tests.support.journald import Journald, own_journal

UNHEARD = "the journal takes no entries"


@pytest.fixture
def journald(running: RunningDaemon, scratch: Path) -> Iterator[Journald]:
    """A journald, to be started, in the place where the daemon will look for one."""
    (scratch / "journald").mkdir()
    with own_journal(scratch / "journald") as journald:
        running.wrapper = journald.wrapper
        running.environment["JOURNAL_STREAM"] = "8:1"  # as systemd says that there is a journal
        yield journald
        running.kill()


def recorded(running: RunningDaemon, count: int) -> list[Crash]:
    """Waits until so many crashes are recorded, whether or not they are announced."""
    running.wait_until(lambda: len(running.store.ids()) == count, f"{count} records")
    return running.crashes()


def announced(journald: Journald) -> list[str]:
    """The crashes that the journal has, each as often as it has it."""
    return sorted(entry["ASTBTD_ID"] for entry in journald.entries(MESSAGE_ID=Event.CRASH_COLLECTED.value))


def test_the_journal_has_one_entry_for_a_crash_with_the_whole_record(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    journald.start()
    running.start()
    crash(programs, spool, "segv")
    (collected,) = running.wait_for_crashes(1)

    (entry,) = journald.entries(ASTBTD_ID=collected.id)
    assert entry["MESSAGE"].startswith("Asterisk crashed: SIGSEGV in do_forward; backtrace ")
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("2", "astbtd")
    assert json.loads(entry["ASTBTD_RECORD"])["diagnosis"] == plain(collected.diagnosis)


def test_while_the_journal_is_stuck_crashes_are_recorded_and_announced_once_it_is_not(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    journald.start()
    running.start()
    journald.get_stuck()
    for count, how in ((1, "segv"), (2, "abort")):
        crash(programs, spool, how)
        unheard = recorded(running, count)
    running.wait_until(lambda: UNHEARD in running.manager.status, "the status to tell")
    assert [each.announced_at for each in unheard] == [None, None]
    assert (running.store.root / "latest").resolve().name == unheard[0].id

    journald.go_on()
    settled = running.wait_for_crashes(2)

    assert announced(journald) == sorted(each.id for each in settled)
    assert all(each.announced_at for each in settled)
    running.wait_until(lambda: UNHEARD not in running.manager.status, "the status to be well again")


def test_while_the_journal_is_absent_crashes_are_recorded_and_announced_after_a_restart(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    running.start()
    running.wait_until(lambda: not running.store.is_new, "the first start to be over")
    core = crash(programs, spool, "segv")
    recorded(running, 1)
    running.wait_until(lambda: UNHEARD in running.manager.status, "the status to tell")
    running.stop()
    assert core.exists()

    journald.start()
    running.start()
    (settled,) = running.wait_for_crashes(1)

    assert announced(journald) == [settled.id]
    assert not core.exists()


def test_a_crash_loop_is_noticed_and_told_of_although_the_journal_was_stuck(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    loop = {"crashes": 3, "within": "1min"}
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop})
    journald.start()
    running.start()
    journald.get_stuck()
    for count in range(1, 6):
        crash(programs, spool, "segv")
        crashes = recorded(running, count)
    assert [each.extraction.brief for each in crashes] == [True, True, False, False, False]

    journald.go_on()
    running.wait_for_crashes(5)

    (entry,) = journald.entries(MESSAGE_ID=Event.CRASH_LOOP_ENTERED.value)
    assert entry["ASTBTD_CRASHES"] == "3"
    running.wait_until(lambda: "SIGSEGV in do_forward, 5 crashes" in running.manager.status, "the count")
