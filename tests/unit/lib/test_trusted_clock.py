"""The clock is believed once it has proven steady, and not while it jumps."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from astbtd.lib.trusted_clock import TrustedClock
from tests.support.builders import NOON

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass
class Machine:
    """A machine's two clocks: what time it is said to be, and how long it has been up."""

    wall: float = NOON.timestamp()
    since_boot: float = 100.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> TrustedClock:
    return TrustedClock(lambda: machine.wall, lambda: machine.since_boot)


def told(machine: Machine) -> datetime:
    return datetime.fromtimestamp(machine.wall, UTC)


def test_at_the_start_the_time_is_not_known(clock: TrustedClock) -> None:
    assert clock.now() is None


def test_a_clock_that_goes_on_steadily_is_believed(clock: TrustedClock, machine: Machine) -> None:
    machine.passes(HOUR)

    assert clock.now() == told(machine)


@pytest.mark.parametrize(
    ("jump", "proof"), [(-50 * 365 * DAY, DAY), (-HOUR, HOUR), (HOUR, HOUR), (73 * 365 * DAY, DAY)]
)
def test_a_clock_that_jumped_is_not_believed_until_it_has_gone_on_for_a_while(
    clock: TrustedClock, machine: Machine, jump: float, proof: float
) -> None:
    machine.passes(HOUR)
    machine.wall += jump
    assert clock.now() is None

    machine.passes(proof / 3)
    assert clock.now() is None

    machine.passes(proof)
    assert clock.now() == told(machine)


def test_a_clock_that_jumps_there_and_back_is_not_believed_in_between(clock: TrustedClock, machine: Machine) -> None:
    machine.passes(HOUR)
    believed = []

    for jump in (73 * 365 * DAY, -73 * 365 * DAY):
        machine.wall += jump
        machine.passes(60)
        believed.append(clock.now())

    assert believed == [None, None]


def test_a_clock_that_is_slewed_is_believed(clock: TrustedClock, machine: Machine) -> None:
    for _ in range(100):
        machine.passes(HOUR)
        machine.wall += 2
        assert clock.now() == told(machine)


@pytest.mark.parametrize("jump", [-50 * 365 * DAY, 73 * 365 * DAY])
def test_a_clock_that_was_set_to_another_day_was_wrong_since_the_machine_was_started(
    clock: TrustedClock, machine: Machine, jump: float
) -> None:
    machine.passes(HOUR)
    started, last = NOON - timedelta(seconds=100), told(machine)
    machine.wall += jump

    clock.now()

    assert clock.take_wrong() == (started, last)
    assert clock.take_wrong() is None


def test_a_clock_that_was_set_a_little_was_not_wrong_by_days(clock: TrustedClock, machine: Machine) -> None:
    machine.wall += HOUR

    clock.now()

    assert clock.take_wrong() is None


def test_the_clocks_of_this_machine_are_asked() -> None:
    assert TrustedClock().now() is None
