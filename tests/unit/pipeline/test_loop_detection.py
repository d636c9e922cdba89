"""A crash loop: several crashes of one program and user at one site in quick succession."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from astbtd.model.crash import Crash, Site
from astbtd.pipeline import loop_detection
from astbtd.pipeline.crash_site import program_key
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings
from tests.support.builders import NOON, crash, signature_of

SETTINGS = CrashLoopSettings(crashes=3, within=600.0)
OTHER = "ffffffffffff"
PROCESS = crash().process


class Clock:
    """The monotonic clock, set by the test."""

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


def nth(number: int, minutes: float, site: str = "0123456789ab", fingerprint: str | None = None) -> Crash:
    """The N-th crash at its site. All crashes have the same signature."""
    made = crash(minutes, pid=1000 + number)
    return replace(
        made,
        announced_at=made.crashed_at,
        signature=replace(signature_of(made), occurrence=number),
        core=replace(made.core, site=fingerprint),
        site=Site(site),
    )


def restarted(tmp_path: Path, stored: Sequence[Crash], minutes: float) -> tuple[CrashLoops, list[str]]:
    """The loops after a restart so many minutes after NOON, and the sites of those not announced yet."""
    loops = CrashLoops(SETTINGS, tmp_path / "loops")
    unannounced = loops.restore(reversed(stored), NOON + timedelta(minutes=minutes))
    return loops, [loop.key.rpartition("|")[2] for loop in unannounced]


def test_fewer_crashes_than_the_limit_are_no_loop(loops: CrashLoops) -> None:
    assert [loops.count(nth(number, number)) for number in (1, 2)] == [None, None]
    assert loops.current == ()


def test_the_crash_that_begins_a_loop_returns_it_once(loops: CrashLoops) -> None:
    started = [loops.count(nth(number, number)) for number in (1, 2, 3, 4)]

    assert [loop and loop.crashes for loop in started] == [None, None, 3, None]
    (loop,) = loops.current
    assert (loop.crashes, loop.since, loop.until) == (4, nth(1, 1).crashed_at, nth(4, 4).crashed_at)
    assert loops.contains(nth(9, 9))


def test_crashes_outside_the_window_are_no_loop(loops: CrashLoops) -> None:
    assert not any(loops.count(nth(number, 6 * number)) for number in range(1, 20))


def test_each_site_is_counted_by_itself_even_if_the_signature_is_the_same(loops: CrashLoops) -> None:
    for number in (1, 2):
        loops.count(nth(number, number))
        loops.count(nth(number, number, OTHER))

    assert loops.current == ()


@pytest.mark.parametrize("other", [{"uid": 1000}, {"build_id": "cd" * 20}])
def test_crashes_of_another_user_or_build_at_the_same_site_do_not_count(
    loops: CrashLoops, other: dict[str, Any]
) -> None:
    for number in range(1, 6):
        made = nth(number, number, fingerprint="a")
        loops.count(replace(made, process=replace(made.process, **other)))

    assert loops.count(nth(6, 6, fingerprint="a")) is None
    assert not loops.contains(nth(6, 6))
    assert not loops.has_loop_of(program_key(PROCESS))
    assert loops.match_fingerprint(PROCESS, "a") is None


def test_crashes_without_a_site_are_no_loop(loops: CrashLoops) -> None:
    assert not any(loops.count(replace(nth(number, number), site=None)) for number in range(1, 20))
    assert not loops.contains(replace(nth(20, 20), site=None))


def test_a_crash_that_is_processed_twice_counts_once(loops: CrashLoops) -> None:
    assert not any(loops.count(nth(1, 1)) for _ in range(5))


def test_a_crash_that_another_record_has_replaced_begins_no_loop(loops: CrashLoops) -> None:
    first, second, third = (nth(number, number) for number in (1, 2, 3))
    loops.count(first)
    loops.count(second)

    loops.withdraw(second.id)

    assert loops.count(third) is None


def test_a_loop_ends_after_one_window_without_a_crash(loops: CrashLoops, clock: Clock) -> None:
    for number in range(1, 6):
        loops.count(nth(number, number))
    clock.now += 599
    assert (loops.take_ended(), loops.seconds_until_next_end()) == ([], 1.0)

    clock.now += 1

    (loop,) = loops.take_ended()
    assert loop.crashes == 5
    assert (loops.current, loops.take_ended(), loops.seconds_until_next_end()) == ((), [], None)


def test_fingerprints_are_forgotten_when_a_loop_ends(loops: CrashLoops, clock: Clock) -> None:
    for number in range(1, 6):
        loops.count(nth(number, number, fingerprint="s"))
    clock.now += 600
    loops.take_ended()

    assert loops.count(nth(6, 20, fingerprint="s")) is None
    assert loops.match_fingerprint(PROCESS, "s") is None


def test_a_crash_with_a_stack_of_a_loop_is_matched(loops: CrashLoops) -> None:
    for number, fingerprint in ((1, "a"), (2, "b"), (3, "a"), (4, None)):
        loops.count(nth(number, number, fingerprint=fingerprint))

    assert loops.match_fingerprint(PROCESS, "a") == nth(1, 1).id
    assert loops.match_fingerprint(PROCESS, "b") == nth(2, 2).id
    assert loops.match_fingerprint(PROCESS, "c") is None
    assert loops.match_fingerprint(PROCESS, None) is None


def test_a_stack_of_a_forgotten_crash_is_remembered_again_with_the_next_crash(loops: CrashLoops) -> None:
    for number in range(1, 4):
        loops.count(nth(number, number, fingerprint="a"))

    loops.forget_crash(nth(1, 1).id)
    assert loops.match_fingerprint(PROCESS, "a") is None
    loops.count(nth(4, 4, fingerprint="a"))

    assert loops.match_fingerprint(PROCESS, "a") == nth(4, 4).id


def test_stacks_outside_a_loop_are_not_matched(loops: CrashLoops) -> None:
    loops.count(nth(1, 1, fingerprint="a"))

    assert loops.match_fingerprint(PROCESS, "a") is None


def test_a_saved_loop_continues_after_a_restart_and_is_not_announced_again(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 6)]
    for each in stored[:3]:
        loops.count(each)
    loops.save()

    again, unannounced = restarted(tmp_path, stored, 6)

    assert unannounced == []
    assert [loop.crashes for loop in again.current] == [5]
    assert again.seconds_until_next_end() == 600 - 60


def test_a_slow_loop_continues_after_a_restart(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(1, 1), nth(2, 2), nth(3, 3), nth(4, 11), nth(5, 19)]
    for each in stored:
        loops.count(each)
    loops.save()

    again, _ = restarted(tmp_path, stored, 20)

    assert [(loop.crashes, again.take_ended()) for loop in again.current] == [(5, [])]


def test_an_unannounced_loop_is_returned_after_a_restart(tmp_path: Path) -> None:
    _, unannounced = restarted(tmp_path, [nth(number, number) for number in range(1, 4)], 5)

    assert unannounced == ["0123456789ab"]


def test_a_loop_that_ended_while_no_daemon_ran_ends_with_its_full_count(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 8)]
    for each in stored[:4]:
        loops.count(each)
    loops.save()

    again, _ = restarted(tmp_path, stored, 600)

    assert [loop.crashes for loop in again.take_ended()] == [7]


def test_an_unannounced_crash_is_counted_once_across_a_restart(loops: CrashLoops, tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 5)]
    for each in stored[:3]:
        loops.count(each)
    loops.save()
    interrupted = replace(stored[3], announced_at=None)

    again, _ = restarted(tmp_path, [*stored[:3], interrupted], 5)
    again.count(interrupted)

    assert [loop.crashes for loop in again.current] == [4]


def test_a_crash_whose_announcement_is_repeated_counts_once(loops: CrashLoops) -> None:
    for number in range(1, 4):
        loops.count(nth(number, number))
    loops.skip_next_count(nth(2, 2))
    for number in range(4, 9):
        loops.count(nth(number, number))

    loops.count(nth(2, 2))

    assert [loop.crashes for loop in loops.current] == [8]


def test_crashes_dated_in_the_future_are_no_loop(tmp_path: Path) -> None:
    stored = [nth(number, number) for number in range(1, 6)]

    _, unannounced = restarted(tmp_path, stored, -365 * 24 * 60)

    assert unannounced == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff{",
        b'{"loops": [{"signature": "0123456789ab", "what": "w", "since": "2026-11-22T12:00:00Z", '
        b'"until": "2026-11-22T12:00:00Z", "crashes": 5}]}',  # of the previous version
    ],
)
def test_a_memory_file_that_cannot_be_used_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loops").write_bytes(content)

    again, unannounced = restarted(tmp_path, [], 0)

    assert (again.current, unannounced) == ((), [])


def test_a_loop_ends_even_if_the_clock_jumped_back(loops: CrashLoops, clock: Clock) -> None:
    for minutes in (100, 101, 102, 3, 4, 5):
        loops.count(nth(int(minutes), minutes))
    clock.now += 600

    assert loops.take_ended()
