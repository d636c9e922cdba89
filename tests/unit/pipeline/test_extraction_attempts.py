"""The budget of an hour and the failures of each crash, across restarts."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.pipeline.extraction_attempts import ExtractionAttempts
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.stores import commit

HOUR = 3600.0
NOON = 1_800_000_000.0


@dataclass
class Clock:
    """A clock that a test sets."""

    time: float = NOON

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def add(store: Store, minutes: float) -> str:
    """Store a crash with a core; return its id."""
    made = crash(minutes)
    commit(store, made)
    store.kept_core(made.id).touch()
    return made.id


def test_of_an_hour_only_the_budget_is_used(store: Store, clock: Clock) -> None:
    attempts = ExtractionAttempts(store, 2, clock)

    assert [attempts.begin("a"), attempts.begin("b"), attempts.begin("c")] == [True, True, False]

    clock.time += HOUR
    assert attempts.begin("c")


def test_the_budget_outlives_the_daemon(store: Store, clock: Clock) -> None:
    ExtractionAttempts(store, 1, clock).begin("a")

    assert not ExtractionAttempts(store, 1, clock).begin("b")


def test_a_budget_of_zero_permits_nothing(store: Store, clock: Clock) -> None:
    assert not ExtractionAttempts(store, 0, clock).begin("a")


def test_times_of_a_clock_that_was_ahead_do_not_count(store: Store, clock: Clock) -> None:
    attempts = ExtractionAttempts(store, 1, clock)
    clock.time += 100 * HOUR
    attempts.begin("a")

    clock.time = NOON

    assert attempts.begin("b")


def test_an_attempt_counts_as_failed_until_it_ends(store: Store, clock: Clock) -> None:
    crash_id = add(store, 1)
    attempts = ExtractionAttempts(store, 9, clock)

    for _ in range(2):
        attempts.begin(crash_id)
    assert ExtractionAttempts(store, 9, clock).failures(crash_id) == 2

    attempts.end(crash_id)
    assert attempts.failures(crash_id) == 0


def test_crashes_without_a_core_are_forgotten(store: Store, clock: Clock) -> None:
    gone, kept = add(store, 1), add(store, 2)
    attempts = ExtractionAttempts(store, 9, clock)
    attempts.begin(gone)
    store.remove(gone)

    attempts.begin(kept)

    assert (attempts.failures(gone), attempts.failures(kept)) == (0, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"began": "x"}'])
def test_a_damaged_file_counts_as_no_attempts(store: Store, clock: Clock, content: bytes) -> None:
    Path(store.incoming / "extraction-attempts").write_bytes(content)

    assert ExtractionAttempts(store, 1, clock).begin("a")
