"""The building blocks of a main loop: timers, on a clock that the test sets, and the wake-up descriptor."""

import os
import select
import selectors
import signal
import socket
from collections.abc import Iterator

import pytest

from astbtd.lib import event_loop
from astbtd.lib.event_loop import Timers, WakeupDescriptor

YEAR = 365 * 86400.0


def nothing() -> None:
    """A timer callback that does nothing."""


class Clock:
    """Replaces the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(event_loop, "time", clock)
    return clock


def test_without_timers_there_is_no_next_time() -> None:
    assert Timers().seconds_until_next() is None


def test_the_next_time_is_that_of_the_first_timer(clock: Clock) -> None:
    timers = Timers()
    timers.schedule("slow", 30, nothing)
    timers.schedule("fast", 10, nothing)

    clock.now += 4

    assert timers.seconds_until_next() == 6


def test_an_overdue_timer_is_due_in_zero_seconds(clock: Clock) -> None:
    timers = Timers()
    timers.schedule("one", 10, nothing)

    clock.now += 100

    assert timers.seconds_until_next() == 0


def test_only_due_timers_are_called(clock: Clock) -> None:
    called: list[str] = []
    timers = Timers()
    timers.schedule("slow", 30, lambda: called.append("slow"))
    timers.schedule("fast", 10, lambda: called.append("fast"))

    clock.now += 10
    timers.run_due()

    assert called == ["fast"]


def test_a_late_timer_is_called_once_and_then_after_its_interval(clock: Clock) -> None:
    called: list[float] = []
    timers = Timers()
    timers.schedule("one", 10, lambda: called.append(clock.now))

    clock.now += 95
    timers.run_due()
    timers.run_due()

    assert called == [1095]
    assert timers.seconds_until_next() == 10


def test_scheduling_a_name_again_replaces_the_earlier_timer(clock: Clock) -> None:
    called: list[str] = []
    timers = Timers()
    timers.schedule("one", 10, lambda: called.append("old"))
    timers.schedule("one", 20, lambda: called.append("new"))

    clock.now += 20
    timers.run_due()

    assert called == ["new"]


def test_cancelling_removes_a_timer_and_may_be_repeated() -> None:
    timers = Timers()
    timers.schedule("one", 10, nothing)

    timers.cancel("one")
    timers.cancel("one")

    assert "one" not in timers
    assert timers.seconds_until_next() is None


def test_a_timer_runs_while_it_is_wanted_without_being_restarted(clock: Clock) -> None:
    timers = Timers()
    timers.schedule_while(True, "one", 10, nothing)
    clock.now += 4
    timers.schedule_while(True, "one", 10, nothing)
    assert timers.seconds_until_next() == 6

    timers.schedule_while(False, "one", 10, nothing)

    assert timers.seconds_until_next() is None


def test_a_callback_may_cancel_and_schedule_timers(clock: Clock) -> None:
    timers = Timers()
    timers.schedule("one", 10, lambda: timers.cancel("two"))
    timers.schedule("two", 50, nothing)
    timers.schedule("three", 10, lambda: timers.schedule("four", 10, nothing))

    clock.now += 10
    timers.run_due()

    assert [name in timers for name in ("one", "two", "three", "four")] == [True, False, True, True]


def test_the_time_until_a_distant_timer_is_a_timeout_that_the_kernel_accepts() -> None:
    timers = Timers()
    timers.schedule("yearly", YEAR, nothing)
    here, there = socket.socketpair()
    with here, there, selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        there.send(b"x")

        assert selector.select(timers.seconds_until_next())


@pytest.fixture
def wakeup() -> Iterator[WakeupDescriptor]:
    with WakeupDescriptor((signal.SIGHUP, signal.SIGUSR1)) as wakeup:
        yield wakeup


def is_awake(wakeup: WakeupDescriptor) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_the_descriptor_is_not_readable_without_a_signal_or_wake(wakeup: WakeupDescriptor) -> None:
    assert not is_awake(wakeup)
    assert wakeup.take_signals() == set()


def test_signals_make_it_readable_and_are_returned_once(wakeup: WakeupDescriptor) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)

    assert is_awake(wakeup)
    assert wakeup.take_signals() == {signal.SIGHUP, signal.SIGUSR1}
    assert (is_awake(wakeup), wakeup.take_signals()) == (False, set())


def test_wake_makes_it_readable_without_a_signal(wakeup: WakeupDescriptor) -> None:
    wakeup.wake()

    assert is_awake(wakeup)
    assert wakeup.take_signals() == set()


def test_waking_very_often_does_not_block(wakeup: WakeupDescriptor) -> None:
    for _ in range(100_000):
        wakeup.wake()

    assert is_awake(wakeup)


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGUSR1)

    with WakeupDescriptor((signal.SIGUSR1,)):
        assert signal.getsignal(signal.SIGUSR1) != before

    assert signal.getsignal(signal.SIGUSR1) == before


def test_waking_after_the_end_is_not_an_error() -> None:
    with WakeupDescriptor(()) as closed:
        pass

    closed.wake()

    assert signal.set_wakeup_fd(-1) == -1
