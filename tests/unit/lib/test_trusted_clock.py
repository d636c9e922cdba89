"""The clock is trusted after it has been stable for a while, and not after it jumped."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from astbtd.lib.trusted_clock import TrustedClock
from tests.support.builders import NOON

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass
class Machine:
    """The two clocks of a machine: the wall clock, and the time since boot."""

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


def wall_time(machine: Machine) -> datetime:
    return datetime.fromtimestamp(machine.wall, UTC)


def test_at_the_start_the_clock_is_not_trusted(clock: TrustedClock) -> None:
    assert clock.now() is None


def test_a_stable_clock_is_trusted(clock: TrustedClock, machine: Machine) -> None:
    machine.passes(HOUR)

    assert clock.now() == wall_time(machine)


@pytest.mark.parametrize(
    ("jump", "proof"), [(-50 * 365 * DAY, DAY), (-HOUR, HOUR), (HOUR, HOUR), (73 * 365 * DAY, DAY)]
)
def test_a_clock_that_jumped_is_not_trusted_until_it_has_been_stable(
    clock: TrustedClock, machine: Machine, jump: float, proof: float
) -> None:
    machine.passes(HOUR)
    machine.wall += jump
    assert clock.now() is None

    machine.passes(proof / 3)
    assert clock.now() is None

    machine.passes(proof)
    assert clock.now() == wall_time(machine)


def test_a_clock_that_jumps_back_and_forth_is_not_trusted_in_between(clock: TrustedClock, machine: Machine) -> None:
    machine.passes(HOUR)
    believed = []

    for jump in (73 * 365 * DAY, -73 * 365 * DAY):
        machine.wall += jump
        machine.passes(60)
        believed.append(clock.now())

    assert believed == [None, None]


def test_a_clock_that_is_slewed_is_trusted(clock: TrustedClock, machine: Machine) -> None:
    for _ in range(100):
        machine.passes(HOUR)
        machine.wall += 2
        assert clock.now() == wall_time(machine)


@pytest.mark.parametrize("jump", [-50 * 365 * DAY, 73 * 365 * DAY])
def test_a_clock_that_was_set_to_another_day_was_wrong_since_boot(
    clock: TrustedClock, machine: Machine, jump: float
) -> None:
    machine.passes(HOUR)
    started, last = NOON - timedelta(seconds=100), wall_time(machine)
    machine.wall += jump

    clock.now()

    assert clock.take_wrong_period() == (started, last)
    assert clock.take_wrong_period() is None


def test_a_small_correction_is_no_wrong_period(clock: TrustedClock, machine: Machine) -> None:
    machine.wall += HOUR

    clock.now()

    assert clock.take_wrong_period() is None


def test_the_default_clocks_are_those_of_this_machine() -> None:
    assert TrustedClock().now() is None
