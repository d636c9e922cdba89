"""One pass from the store to the spool."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from astbtd.model.crash import Section
from astbtd.notify import spool_step
from astbtd.notify.events import Event, EventKind
from astbtd.notify.failing_checks import FailingChecks
from astbtd.notify.payload import Audience, Notification, NotificationKind
from astbtd.notify.spool import Spool
from astbtd.notify.spool_step import SpoolStep
from astbtd.settings import CrashLoopSettings
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.notifications import MACHINE
from tests.support.stores import process

LATER = NOON + timedelta(days=1)
BOTH = frozenset(Audience)


def step(root: Path, audiences: Collection[Audience] = BOTH, checks: FailingChecks | None = None) -> SpoolStep:
    store = Store(root / "store")
    store.prepare()
    return SpoolStep(store, Spool(root / "spool"), CrashLoopSettings(3, 600), audiences, MACHINE, "pbx7", checks)


@pytest.fixture
def passing(tmp_path: Path) -> SpoolStep:
    """A step that has made its first pass, over an empty store."""
    made = step(tmp_path)
    made.run(NOON, "")
    return made


def waiting(passing: SpoolStep) -> list[Notification]:
    entries = [passing.spool.read(name) for name in passing.spool.names()]
    return [entry.notification for entry in entries if entry]


def test_a_crash_is_written_for_trackers_and_for_people(passing: SpoolStep) -> None:
    process(passing.store, crash())
    (passing.store.directory(crash().id) / Section.THREAD1).write_text("#0  0x01 in f (x=5) at a.c:7\n")

    passing.run(LATER, "")

    tracked, message = waiting(passing)
    assert (tracked.kind, message.kind) == (NotificationKind.CRASH, NotificationKind.MESSAGE)
    assert tracked.crash
    assert [(frame.function, frame.line) for frame in tracked.crash.frames] == [("f", 7)]
    assert message.message
    assert message.message.subject == "[pbx7] Asterisk crashed: fault in ast_bridge_join (new)"
    assert message.message.why == "a new signature"


def test_nothing_is_written_for_an_audience_without_a_sink(tmp_path: Path) -> None:
    passing = step(tmp_path, {Audience.PEOPLE})
    passing.run(NOON, "")
    process(passing.store, crash())

    passing.run(LATER, "")

    assert [each.audience for each in waiting(passing)] == [Audience.PEOPLE]


def test_a_pass_without_anything_new_writes_nothing(passing: SpoolStep) -> None:
    before = passing.spool.state_file.stat().st_mtime_ns

    passing.run(LATER, "")

    assert passing.spool.state_file.stat().st_mtime_ns == before


def test_what_every_sink_has_delivered_is_removed(passing: SpoolStep) -> None:
    process(passing.store, crash())
    passing.run(LATER, "")
    first, second = passing.spool.names()

    passing.run(LATER, first)
    assert passing.spool.names() == [second]
    passing.run(LATER, second)
    assert passing.spool.names() == []


def test_the_crashes_of_a_loop_are_sent_as_a_count(passing: SpoolStep) -> None:
    for minute in range(6):
        process(passing.store, crash(minute))

    passing.run(LATER, "")

    kinds = [each.kind for each in waiting(passing) if each.audience is Audience.TRACKER]
    assert kinds == [NotificationKind.CRASH] * 3 + [NotificationKind.LOOP]
    (loop,) = [each.loop for each in waiting(passing) if each.loop]
    assert (loop.crashes, loop.is_over) == (3, True)


def test_ids_are_the_same_whenever_the_same_crash_is_notified(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "other"):
        passing = step(tmp_path / name)
        passing.run(NOON, "")
        process(passing.store, crash())
        passing.run(LATER, "")
        ids.append([each.id for each in waiting(passing) if each.crash])

    assert ids[0] == ids[1]


def test_a_failed_check_is_written_once(tmp_path: Path) -> None:
    check = Event(EventKind.CHECK_FAILED, "core_limit", NOON, "The next crash ...", "")
    passing = step(tmp_path, checks=FailingChecks((check,)))

    for _ in range(3):
        passing.run(NOON, "")

    assert [each.message.subject for each in waiting(passing) if each.message] == ["[pbx7] The next crash ..."]


def test_too_many_notifications_drop_the_oldest_and_the_next_one_says_how_many(
    passing: SpoolStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_step, "MOST", 4)
    trackers = replace(passing, audiences={Audience.TRACKER})

    def add(number: int, now: datetime) -> None:
        process(trackers.store, crash(number * 30, pid=number, signature=f"{number:012x}"))
        trackers.run(now, "")

    for number in range(1, 7):
        add(number, LATER)
    assert len(trackers.spool.names()) == 4
    add(7, LATER)

    assert sum(each.gap for each in waiting(trackers)) == 3 - 1, "the last one that was dropped is not told of yet"


def test_a_damaged_entry_does_not_keep_the_spool_from_dropping_the_oldest(
    passing: SpoolStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_step, "MOST", 2)
    process(passing.store, crash())
    passing.run(NOON + timedelta(minutes=1), "")
    (passing.spool.root / "waiting" / passing.spool.names()[0]).write_text("{")

    process(passing.store, crash(30, signature="ab" * 6))
    passing.run(NOON + timedelta(minutes=31), "")

    assert len(passing.spool.names()) == 2


def test_a_record_that_was_removed_unseen_is_told_of(passing: SpoolStep) -> None:
    for minute in (0, 30):
        process(passing.store, crash(minute))
    passing.store.remove(crash(0).id)

    passing.run(LATER, "")

    assert [(each.audience, each.gap) for each in waiting(passing)] == [(Audience.TRACKER, 1), (Audience.PEOPLE, 1)]
