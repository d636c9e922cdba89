"""A sleeping loop is woken by signals and by other threads."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from astbtd.lib.wakeup import WakeupDescriptor


@pytest.fixture
def wakeup() -> Iterator[WakeupDescriptor]:
    with WakeupDescriptor((signal.SIGHUP, signal.SIGUSR1)) as wakeup:
        yield wakeup


def is_awake(wakeup: WakeupDescriptor) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_it_sleeps_until_something_happens(wakeup: WakeupDescriptor) -> None:
    assert not is_awake(wakeup)
    assert wakeup.arrived() == set()


def test_a_signal_wakes_it_and_is_told_once(wakeup: WakeupDescriptor) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)

    assert is_awake(wakeup)
    assert wakeup.arrived() == {signal.SIGHUP, signal.SIGUSR1}
    assert (is_awake(wakeup), wakeup.arrived()) == (False, set())


def test_a_thread_wakes_it_without_a_signal(wakeup: WakeupDescriptor) -> None:
    wakeup.wake()

    assert is_awake(wakeup)
    assert wakeup.arrived() == set()


def test_waking_it_without_end_does_not_block(wakeup: WakeupDescriptor) -> None:
    for _ in range(100_000):
        wakeup.wake()

    assert is_awake(wakeup)


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGUSR1)

    with WakeupDescriptor((signal.SIGUSR1,)):
        assert signal.getsignal(signal.SIGUSR1) != before

    assert signal.getsignal(signal.SIGUSR1) == before


def test_waking_what_has_ended_is_no_error() -> None:
    with WakeupDescriptor(()) as ended:
        pass

    ended.wake()

    assert signal.set_wakeup_fd(-1) == -1
