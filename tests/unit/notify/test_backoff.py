"""When a sink that fails is tried again."""

from datetime import timedelta

import pytest

from astbtd.notify.backoff import begin_attempt, delay, fail, is_due, succeed
from astbtd.notify.sink_state import SinkState
from astbtd.notify.sinks.base import Retry
from tests.support.builders import NOON

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def no_jitter() -> float:
    return 0.0


def test_the_delay_doubles_from_one_minute_to_six_hours() -> None:
    delays = [delay(attempts, None, no_jitter) for attempts in range(1, 12)]

    assert delays[:4] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert delays[-2:] == [6 * HOUR, 6 * HOUR]
    assert delay(10_000, None, no_jitter) == 6 * HOUR


def test_jitter_spreads_the_attempts_of_many_machines() -> None:
    assert delay(3, None, lambda: 1.0) == 5 * MINUTE
    assert delay(50, None, lambda: 1.0) == 6 * HOUR


@pytest.mark.parametrize(("after", "expected"), [(1800, HOUR / 2), (5, MINUTE), (-3, MINUTE), (1e12, 24 * HOUR)])
def test_a_server_may_ask_for_a_longer_pause_but_not_for_ever(after: float, expected: timedelta) -> None:
    assert delay(1, after, no_jitter) == expected


def test_a_sink_is_due_when_its_time_has_come_or_the_clock_was_wrong() -> None:
    waiting = SinkState(next_attempt=NOON + HOUR)

    assert is_due(SinkState(), NOON, "1")
    assert not is_due(waiting, NOON, "1")
    assert is_due(waiting, NOON + HOUR, "1")
    assert is_due(waiting, NOON - timedelta(days=3), "1")


def test_after_a_week_a_sink_is_given_up_until_there_is_something_new() -> None:
    state = SinkState()
    now, attempts = NOON, 0
    while state.given_up is None:
        assert is_due(state, now, "5")
        state = fail(begin_attempt(state, now, no_jitter), Retry("refused"), now, "5", no_jitter)
        assert state.next_attempt
        now, attempts = state.next_attempt, attempts + 1

    assert timedelta(days=7) <= now - NOON <= timedelta(days=7, hours=12)
    assert 30 < attempts < 45
    assert not is_due(state, now + timedelta(days=30), "5")
    assert is_due(state, now, "6")


def test_an_attempt_that_is_killed_counts_as_failed() -> None:
    state = begin_attempt(SinkState(), NOON, no_jitter)

    assert not is_due(state, NOON, "1")
    assert is_due(state, NOON + MINUTE, "1")
    assert not state.is_failing, "there is no reason to tell"


def test_success_ends_a_series_of_failures() -> None:
    failed = fail(begin_attempt(SinkState(), NOON, no_jitter), Retry("x"), NOON, "3", no_jitter)

    state = succeed(failed, "3", 2)

    assert (state.mark, state.delivered, state.failures) == ("3", 2, 1)
    assert not state.is_failing
    assert is_due(state, NOON, "4")
