"""A crash loop: some crashes of one signature in quick succession; told of when it begins and when it ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.model.crash import Crash
from astbtd.pipeline import loop_detection
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings
from tests.support.builders import NOON, crash

SETTINGS = CrashLoopSettings(crashes=3, within=600.0)
OTHER = "ffffffffffff"


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop_detection, "time", clock)
    return clock


@pytest.fixture
def loops(tmp_path: Path) -> CrashLoops:
    return CrashLoops(SETTINGS, tmp_path / "loops")


def nth(number: int, minutes: float, signature: str = "0123456789ab", site: str | None = None) -> Crash:
    """The crash that is the N-th of its signature."""
    made = crash(minutes, pid=1000 + number, signature=signature)
    return replace(
        made,
        announced_at=made.crashed_at,
        signature=replace(made.signature, occurrence=number),
        core=replace(made.core, site=site),
    )


def restarted(tmp_path: Path, stored: Sequence[Crash], minutes: float) -> tuple[CrashLoops, list[str]]:
    """What a new daemon knows so many minutes after NOON, and the loops that nobody was told of."""
    loops = CrashLoops(SETTINGS, tmp_path / "loops")
    untold = loops.recall(reversed(stored), NOON + timedelta(minutes=minutes))
    return loops, [loop.signature for loop in untold]


def test_a_few_crashes_are_no_loop(loops: CrashLoops) -> None:
    assert [loops.note(nth(number, number)) for number in (1, 2)] == [None, None]
    assert loops.current == ()


def test_one_more_within_the_window_is_a_loop_and_is_told_once(loops: CrashLoops) -> None:
    told = [loops.note(nth(number, number)) for number in (1, 2, 3, 4)]

    assert [loop and loop.crashes for loop in told] == [None, None, 3, None]
    (loop,) = loops.current
    assert (loop.crashes, loop.since, loop.until) == (4, nth(1, 1).crashed_at, nth(4, 4).crashed_at)
    assert loops.has("0123456789ab")


def test_crashes_far_apart_are_no_loop(loops: CrashLoops) -> None:
    assert not any(loops.note(nth(number, 6 * number)) for number in range(1, 20))


def test_crashes_of_several_signatures_are_counted_each_by_itself(loops: CrashLoops) -> None:
    for number in (1, 2):
        loops.note(nth(number, number))
        loops.note(nth(number, number, OTHER))

    assert loops.current == ()


def test_a_crash_that_is_processed_twice_counts_once(loops: CrashLoops) -> None:
    assert not any(loops.note(nth(1, 1)) for _ in range(5))


def test_a_loop_ends_when_nothing_was_heard_for_as_long_as_the_window(loops: CrashLoops, clock: Clock) -> None:
    for number in range(1, 6):
        loops.note(nth(number, number))
    clock.now += 599
    assert (loops.ended(), loops.until_next_end()) == ([], 1.0)

    clock.now += 1

    (loop,) = loops.ended()
    assert loop.crashes == 5
    assert (loops.current, loops.ended(), loops.until_next_end()) == ((), [], None)


def test_after_a_loop_the_next_crashes_are_examined_in_full_again(loops: CrashLoops, clock: Clock) -> None:
    for number in range(1, 6):
        loops.note(nth(number, number, site="s"))
    clock.now += 600
    loops.ended()

    assert loops.note(nth(6, 20, site="s")) is None
    assert loops.recognised("s") is None


def test_a_crash_at_the_site_of_a_loop_is_recognised(loops: CrashLoops) -> None:
    for number, site in ((1, "a"), (2, "b"), (3, "a"), (4, None)):
        loops.note(nth(number, number, site=site))

    assert loops.recognised("a") == nth(1, 1).id
    assert loops.recognised("b") == nth(2, 2).id
    assert loops.recognised("c") is None
    assert loops.recognised(None) is None


def test_a_site_whose_first_crash_has_no_record_any_more_is_learnt_anew(loops: CrashLoops) -> None:
    for number in range(1, 4):
        loops.note(nth(number, number, site="a"))

    loops.unlearn(nth(1, 1).id)
    assert loops.recognised("a") is None
    loops.note(nth(4, 4, site="a"))

    assert loops.recognised("a") == nth(4, 4).id


def test_crashes_outside_a_loop_are_not_recognised(loops: CrashLoops) -> None:
    loops.note(nth(1, 1, site="a"))

    assert loops.recognised("a") is None


def test_a_loop_goes_on_over_a_restart_and_is_not_told_again(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 6)]
    for each in stored[:3]:
        loops.note(each)
    loops.remember()

    again, untold = restarted(tmp_path, stored, 6)

    assert untold == []
    assert [loop.crashes for loop in again.current] == [5]
    assert again.until_next_end() == 600 - 60


def test_a_slow_loop_goes_on_over_a_restart(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(1, 1), nth(2, 2), nth(3, 3), nth(4, 11), nth(5, 19)]
    for each in stored:
        loops.note(each)
    loops.remember()

    again, _ = restarted(tmp_path, stored, 20)

    assert [(loop.crashes, again.ended()) for loop in again.current] == [(5, [])]


def test_a_loop_that_nobody_was_told_of_is_told_after_a_restart(tmp_path: Path) -> None:
    _, untold = restarted(tmp_path, [nth(number, number) for number in range(1, 4)], 5)

    assert untold == ["0123456789ab"]


def test_a_loop_that_ended_while_no_daemon_ran_is_told_with_its_count(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 8)]
    for each in stored[:4]:
        loops.note(each)
    loops.remember()

    again, _ = restarted(tmp_path, stored, 600)

    assert [loop.crashes for loop in again.ended()] == [7]


def test_a_crash_that_is_yet_to_be_told_of_counts_once_over_a_restart(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 5)]
    for each in stored[:3]:
        loops.note(each)
    loops.remember()
    interrupted = replace(stored[3], announced_at=None)

    again, _ = restarted(tmp_path, [*stored[:3], interrupted], 5)
    again.note(interrupted)

    assert [loop.crashes for loop in again.current] == [4]


def test_a_crash_that_could_not_be_told_of_counts_once_when_it_comes_again(loops: CrashLoops) -> None:
    for number in range(1, 4):
        loops.note(nth(number, number))
    loops.comes_again(nth(2, 2))
    for number in range(4, 9):
        loops.note(nth(number, number))

    loops.note(nth(2, 2))

    assert [loop.crashes for loop in loops.current] == [8]


def test_to_a_clock_that_is_behind_crashes_of_the_future_are_no_loop(tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 6)]

    _, untold = restarted(tmp_path, stored, -365 * 24 * 60)

    assert untold == []


def test_a_damaged_memory_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "loops").write_bytes(b"\xff{")

    again, untold = restarted(tmp_path, [], 0)

    assert (again.current, untold) == ((), [])


def test_after_a_clock_that_jumped_back_a_loop_still_ends(loops: CrashLoops, clock: Clock) -> None:
    for minutes in (100, 101, 102, 3, 4, 5):
        loops.note(nth(int(minutes), minutes))
    clock.now += 600

    assert loops.ended()
