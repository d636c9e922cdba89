"""Timers for a loop that sleeps until the next is due, on a clock that the test moves."""

import selectors
import socket

import pytest

from astbtd.lib import timers
from astbtd.lib.timers import Timers

YEAR = 365 * 86400.0


def nothing() -> None:
    """What a timer calls that is not to do anything."""


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timers, "time", clock)
    return clock


def test_without_timers_the_sleep_has_no_end() -> None:
    assert Timers().until_next() is None


def test_the_sleep_ends_with_the_first_timer(clock: Clock) -> None:
    some = Timers()
    some.every("slow", 30, nothing)
    some.every("fast", 10, nothing)

    clock.now += 4

    assert some.until_next() == 6


def test_what_is_overdue_is_due_now(clock: Clock) -> None:
    some = Timers()
    some.every("one", 10, nothing)

    clock.now += 100

    assert some.until_next() == 0


def test_only_what_is_due_is_called(clock: Clock) -> None:
    called: list[str] = []
    some = Timers()
    some.every("slow", 30, lambda: called.append("slow"))
    some.every("fast", 10, lambda: called.append("fast"))

    clock.now += 10
    some.run_due()

    assert called == ["fast"]


def test_a_late_timer_is_called_once_and_then_in_its_own_time(clock: Clock) -> None:
    called: list[float] = []
    some = Timers()
    some.every("one", 10, lambda: called.append(clock.now))

    clock.now += 95
    some.run_due()
    some.run_due()

    assert called == [1095]
    assert some.until_next() == 10


def test_a_timer_of_the_same_name_takes_the_place_of_the_earlier(clock: Clock) -> None:
    called: list[str] = []
    some = Timers()
    some.every("one", 10, lambda: called.append("old"))
    some.every("one", 20, lambda: called.append("new"))

    clock.now += 20
    some.run_due()

    assert called == ["new"]


def test_a_cancelled_timer_is_gone() -> None:
    some = Timers()
    some.every("one", 10, nothing)

    some.cancel("one")
    some.cancel("one")

    assert "one" not in some
    assert some.until_next() is None


def test_a_timer_that_is_wanted_goes_on_until_it_is_not(clock: Clock) -> None:
    some = Timers()
    some.only_while(True, "one", 10, nothing)
    clock.now += 4
    some.only_while(True, "one", 10, nothing)
    assert some.until_next() == 6

    some.only_while(False, "one", 10, nothing)

    assert some.until_next() is None


def test_a_timer_may_cancel_another_and_set_a_new_one(clock: Clock) -> None:
    some = Timers()
    some.every("one", 10, lambda: some.cancel("two"))
    some.every("two", 50, nothing)
    some.every("three", 10, lambda: some.every("four", 10, nothing))

    clock.now += 10
    some.run_due()

    assert [name in some for name in ("one", "two", "three", "four")] == [True, False, True, True]


def test_a_timer_far_away_is_no_longer_than_the_kernel_can_sleep() -> None:
    some = Timers()
    some.every("yearly", YEAR, nothing)
    here, there = socket.socketpair()
    with here, there, selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        there.send(b"x")

        assert selector.select(some.until_next())
