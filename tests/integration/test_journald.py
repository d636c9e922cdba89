"""Announcements reach a real journald: immediately, or later if it is absent or stuck."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.announce.journal import Event
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import Crash
from tests.support.harness import RunningDaemon, crash
from tests.support.journald import Journald, own_journal

JOURNAL_UNAVAILABLE = "the journal accepts no entries"


@pytest.fixture
def journald(running: RunningDaemon, scratch: Path) -> Iterator[Journald]:
    """A journald that is not started yet, in the namespace of the daemon."""
    (scratch / "journald").mkdir()
    with own_journal(scratch / "journald") as journald:
        running.wrapper = journald.wrapper
        running.environment["JOURNAL_STREAM"] = "8:1"  # systemd sets it for services whose output goes to the journal
        running.environment["ASTBTD_LOG_TARGET"] = "journal"
        yield journald
        running.kill()


def recorded(running: RunningDaemon, count: int) -> list[Crash]:
    """Wait until this number of crashes is recorded, announced or not; return them."""
    running.wait_until(lambda: len(running.store.ids()) == count, f"{count} records")
    return running.crashes()


def announced(journald: Journald) -> list[str]:
    """Return the ids of the announced crashes, with duplicates."""
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
    assert json.loads(entry["ASTBTD_RECORD"])["diagnosis"] == to_plain(collected.diagnosis)


def test_crashes_during_a_stuck_journal_are_recorded_and_announced_later(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    journald.start()
    running.start()
    journald.block()
    for count, how in ((1, "segv"), (2, "abort")):
        crash(programs, spool, how)
        unannounced = recorded(running, count)
    running.wait_until(lambda: JOURNAL_UNAVAILABLE in running.manager.status, "the status to report it")
    assert [each.announced_at for each in unannounced] == [None, None]
    assert (running.store.root / "latest").resolve().name == unannounced[0].id

    journald.resume()
    announced_crashes = running.wait_for_crashes(2)

    assert announced(journald) == sorted(each.id for each in announced_crashes)
    assert all(each.announced_at for each in announced_crashes)
    running.wait_until(lambda: JOURNAL_UNAVAILABLE not in running.manager.status, "the status to be clean")


def test_crashes_without_a_journal_are_recorded_and_announced_after_a_restart(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    running.start()
    running.wait_until(lambda: not running.store.is_new, "the first start to be over")
    core = crash(programs, spool, "segv")
    recorded(running, 1)
    running.wait_until(lambda: JOURNAL_UNAVAILABLE in running.manager.status, "the status to report it")
    running.stop()
    assert core.exists()

    journald.start()
    running.start()
    (announced_crashes,) = running.wait_for_crashes(1)

    assert announced(journald) == [announced_crashes.id]
    assert not core.exists()


def test_a_crash_loop_is_announced_although_the_journal_was_stuck(
    running: RunningDaemon, journald: Journald, programs: Path, spool: Path
) -> None:
    loop = {"crashes": 3, "within": "1min"}
    running.configure({"watch": {"directories": [str(spool)]}, "crash_loop": loop})
    journald.start()
    running.start()
    journald.block()
    for count in range(1, 6):
        crash(programs, spool, "segv")
        crashes = recorded(running, count)
    assert [each.extraction.brief for each in crashes] == [True, True, False, False, False]

    journald.resume()
    running.wait_for_crashes(5)

    (entry,) = journald.entries(MESSAGE_ID=Event.CRASH_LOOP_ENTERED.value)
    assert entry["ASTBTD_CRASHES"] == "3"
    running.wait_until(lambda: "SIGSEGV in do_forward, 5 crashes" in running.manager.status, "the count")
