"""What people are told, when, and why."""

from dataclasses import replace
from datetime import datetime, timedelta

from astbtd.notify.events import Correction, Event, EventKind
from astbtd.notify.message_policy import Announcement, Policy, PolicyState
from tests.support.builders import NOON

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def event(kind: EventKind = EventKind.CRASH, key: str = "a", at: datetime = NOON) -> Event:
    return Event(kind, key, at, f"Asterisk crashed: fault in {key}", f"the report of {key}\n")


class Told:
    """The policy with its state, and what was announced so far."""

    def __init__(self) -> None:
        self.state = PolicyState()
        self.all: list[Announcement] = []

    def at(self, now: datetime, *events: Event, failing: tuple[str, ...] | None = None) -> list[str]:
        policy = Policy(self.state, now)
        announced = policy.decide(events, failing)
        self.state = policy.state
        self.all += announced
        return [each.title for each in announced]


def test_a_new_signature_is_announced_at_once_with_its_report() -> None:
    told = Told()

    assert told.at(NOON, event()) == ["Asterisk crashed: fault in a (new)"]
    assert (told.all[0].body, told.all[0].why) == ("the report of a\n", "a new signature")


def test_known_signatures_wait_for_the_daily_digest() -> None:
    told = Told()
    told.at(NOON, event())

    assert told.at(NOON + HOUR, event(), event()) == []
    assert told.at(NOON + HOUR + DAY - MINUTE) == []
    assert told.at(NOON + HOUR + DAY) == ["2 crashes with known signatures within a day"]
    assert "fault in a: 2 times, last at 2026-11-22 12:00:00 UTC" in told.all[-1].body
    assert told.at(NOON + 3 * DAY) == []


def test_a_corrected_signature_is_announced_if_it_is_new_and_never_counted_twice() -> None:
    told = Told()
    told.at(NOON, event())

    corrected = replace(event(key="b"), correction=Correction.EXTRACTION)
    assert told.at(NOON, corrected) == ["Asterisk crashed: fault in b (new)"]
    assert told.at(NOON, corrected) == []
    assert told.state.digest == {}


def test_a_core_that_was_found_after_its_crash_was_told_of_is_told_as_that_and_counts_nowhere() -> None:
    told = Told()
    late = replace(event(key="b"), correction=Correction.LATE_CORE)

    assert told.at(NOON, late) == ["Asterisk crashed: fault in b (its core was found)"]
    assert told.at(NOON, late) == []
    assert told.state.digest == {}


def test_foreign_crashes_are_only_in_the_digest() -> None:
    told = Told()

    assert told.at(NOON, *(event(EventKind.FOREIGN_CRASH, "foreign") for _ in range(30))) == []
    assert told.at(NOON + DAY) == ["30 crashes with known signatures within a day"]


def test_the_start_and_the_end_of_a_loop_and_a_captured_deadlock_are_announced() -> None:
    told = Told()
    kinds = (EventKind.LOOP_STARTED, EventKind.LOOP_ENDED, EventKind.DEADLOCK)

    assert len(told.at(NOON, *(event(kind) for kind in kinds))) == 3
    assert [each.why for each in told.all] == ["loop started", "loop ended", "deadlock"]


def test_a_failed_check_is_announced_once_and_again_only_after_it_was_mended() -> None:
    told = Told()
    failed = event(EventKind.CHECK_FAILED, "core_limit")

    assert len(told.at(NOON, failed, failing=("core_limit",))) == 1
    assert told.at(NOON + HOUR, failed, failing=("core_limit",)) == []
    assert told.at(NOON + 2 * HOUR) == []
    assert told.at(NOON + 2 * HOUR, failed, failing=("core_limit",)) == []
    assert told.at(NOON + 3 * HOUR, failing=()) == []
    assert len(told.at(NOON + 4 * HOUR, failed, failing=("core_limit",))) == 1


def test_after_six_messages_within_an_hour_one_summary_follows() -> None:
    told = Told()
    first = told.at(NOON, *(event(key=f"s{number}") for number in range(10)))
    assert [title[-8:] for title in first] == ["s0 (new)", "s1 (new)", "s2 (new)", "s3 (new)", "s4 (new)", "s5 (new)"]

    assert told.at(NOON + 59 * MINUTE, event(key="s10")) == []
    assert told.at(NOON + HOUR) == ["5 more events after 6 messages within an hour"]
    assert "- Asterisk crashed: fault in s6 (new)\n" in told.all[-1].body
    assert "- Asterisk crashed: fault in s10 (new)\n" in told.all[-1].body
    assert told.at(NOON + HOUR, event(key="s11")) == ["Asterisk crashed: fault in s11 (new)"]


def test_no_hour_has_more_than_six_messages_whatever_happens() -> None:
    told = Told()
    sent: list[datetime] = []
    for minute in range(0, 600, 3):
        now = NOON + minute * MINUTE
        sent += [now for _ in told.at(now, event(key=f"s{minute}"), event(EventKind.DEADLOCK, f"d{minute}"))]

    assert len(sent) > 20
    assert max(sum(0 <= (other - at).total_seconds() < 3600 for other in sent) for at in sent) == 6
    listed = sum(each.body.count("\n- ") for each in told.all if each.key == "summary")
    one_by_one = sum(each.key != "summary" for each in told.all)
    assert one_by_one + listed + len(told.state.held) == 400


def test_old_cores_are_one_message_when_no_more_come() -> None:
    told = Told()
    old = [event(EventKind.OLD_CORE, key) for key in ("a", "b", "a")]

    assert told.at(NOON, *old[:2]) == []
    assert told.at(NOON + MINUTE, old[2]) == []
    assert told.at(NOON + 3 * MINUTE) == ["3 earlier crashes of Asterisk"]
    assert told.all[-1].body.count("fault in a") == 2
    assert told.at(NOON + HOUR, event(key="a")) == [], "its signature is known now"


def test_a_clock_that_was_set_back_delays_nothing_for_ever() -> None:
    told = Told()
    told.at(NOON, *(event(key=f"s{number}") for number in range(8)))
    told.at(NOON, event(key="s0"), event(EventKind.OLD_CORE, "o"))

    titles = told.at(NOON - DAY)

    assert [title.partition(" ")[2] for title in titles] == [
        "more events after 6 messages within an hour",
        "earlier crash of Asterisk",
        "crash with known signatures within a day",
    ]


def test_what_is_remembered_is_bounded() -> None:
    told = Told()
    for number in range(0, 10_200, 200):
        told.at(NOON, *(event(key=f"s{number + each}") for each in range(200)))

    assert len(told.state.known) == 10_000
    assert told.state.known[-1] == "s10199"
