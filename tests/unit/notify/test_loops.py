"""Crash loops, found in the records."""

from dataclasses import replace
from datetime import timedelta

from astbtd.notify.loops import LoopSettings, LoopTracker, SiteCrash
from tests.support.builders import NOON

SETTINGS = LoopSettings(3, timedelta(minutes=10))
MINUTE = timedelta(minutes=1)


def at(minutes: float, key: str = "site") -> SiteCrash:
    return SiteCrash(f"crash at {minutes}", key, NOON + minutes * MINUTE, "SIGSEGV in f")


def test_a_loop_begins_with_the_crash_that_completes_the_number() -> None:
    tracker = LoopTracker(SETTINGS)

    changes = [tracker.add(at(minute)) for minute in (0, 1, 2, 3)]

    assert changes[:2] == [None, None]
    assert changes[2]
    assert changes[3]
    assert (changes[2].started, changes[3].started) == (True, False)
    assert (changes[2].loop.crashes, changes[2].loop.since) == (3, NOON)


def test_crashes_at_other_sites_or_far_apart_are_no_loop() -> None:
    tracker = LoopTracker(SETTINGS)

    assert [tracker.add(each) for each in (at(0), at(1, "other"), at(2), at(11.5), at(20), at(40))] == [None] * 6


def test_a_loop_ends_after_a_window_without_a_crash() -> None:
    tracker = LoopTracker(SETTINGS)
    for minute in (0, 1, 2, 3, 4):
        tracker.add(at(minute))

    assert tracker.end(NOON + 13 * MINUTE) == []
    (ended,) = tracker.end(NOON + 14 * MINUTE)

    assert (ended.ended, ended.loop.crashes, ended.loop.uncounted) == (True, 5, 2)
    assert ended.loop.newest == "crash at 4"
    assert tracker.sites == {}


def test_crashes_of_a_long_loop_are_counted_daily_and_each_once() -> None:
    tracker = LoopTracker(SETTINGS)
    counted = 0
    for minute in range(0, 3 * 1440, 4):
        tracker.add(at(minute))
        counted += sum(
            each.loop.uncounted for each in tracker.take_uncounted(NOON + minute * MINUTE, timedelta(days=1))
        )

    counted += sum(each.loop.uncounted for each in tracker.end(NOON + timedelta(days=4)))

    assert counted == 3 * 1440 // 4 - 3, "all but those that were notified one by one"


def test_a_crash_that_trackers_know_of_is_in_a_loop_but_not_in_their_count() -> None:
    tracker = LoopTracker(SETTINGS)
    for minute in (0, 1, 2, 3):
        tracker.add(at(minute))

    change = tracker.add(replace(at(4), is_told=True))

    assert change
    assert (change.loop.crashes, change.loop.uncounted) == (5, 1)


def test_a_crash_that_is_withdrawn_begins_no_loop() -> None:
    tracker = LoopTracker(SETTINGS)
    for minute in (0, 1):
        tracker.add(at(minute))

    tracker.withdraw("site", NOON + 1.1 * MINUTE)
    tracker.withdraw("unknown", NOON)

    assert tracker.add(at(2)) is None
    assert tracker.sites["site"].times == (NOON, NOON + 2 * MINUTE)


def test_a_site_without_crashes_is_forgotten_unless_it_is_in_a_loop() -> None:
    tracker = LoopTracker(SETTINGS)
    for each in (at(0, "other"), at(0), at(1), at(2)):
        tracker.add(each)

    tracker.withdraw("other", NOON)
    for _ in range(4):
        tracker.withdraw("site", NOON)

    assert list(tracker.sites) == ["site"]
    assert len(tracker.end(NOON + 20 * MINUTE)) == 1


def test_crashes_out_of_order_count_by_their_times() -> None:
    tracker = LoopTracker(SETTINGS)

    changes = [tracker.add(at(minute)) for minute in (5, 3, 4)]

    assert changes[2]
    assert changes[2].started
