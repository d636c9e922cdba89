"""The watch asks for a capture when Asterisk gave no sign of life, once, and not too often."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from astbtd.asterisk.console import Answer
from astbtd.daemon.deadlock_monitor import DeadlockMonitor
from astbtd.settings import DeadlockSettings
from tests.support.builders import NOON

ALIVE, SILENT = Answer("3 calls processed\n", 4242), Answer("", 4242, "no answer in time", in_time=False)
NOBODY, UNREACHABLE = Answer("", None, "no such file"), Answer("", None, "no answer in time", in_time=False)


@dataclass
class Asterisk:
    """An Asterisk that answers as it is told to, and what became of that."""

    answer: Answer = ALIVE
    only_one: int | None = 4242
    fit: bool = True
    captures: int = 0
    requests: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.watch = DeadlockMonitor(
            settings=DeadlockSettings(failures=3, per_day=2),
            ask=lambda: self.answer,
            only_one=lambda: self.only_one,
            fit=lambda _: self.fit,
            lately=lambda _: self.captures,
            request=self.requests.append,
            tell=self.said.append,
        )

    def looks(self, *answers: Answer) -> None:
        for self.answer in answers:
            self.watch.look(self.now)
            self.now += timedelta(minutes=1)


def test_several_failures_in_a_row_ask_for_one_capture() -> None:
    asterisk = Asterisk()

    asterisk.looks(ALIVE, SILENT, SILENT)
    assert asterisk.requests == []
    asterisk.looks(SILENT, SILENT, SILENT)

    assert asterisk.requests == [4242]
    assert asterisk.said == ["Asterisk (process 4242) has not answered 3 times in a row: a capture is asked for"]


def test_an_answer_in_between_begins_anew() -> None:
    asterisk = Asterisk()

    asterisk.looks(SILENT, SILENT, ALIVE, SILENT, SILENT)

    assert asterisk.requests == []


def test_there_is_another_capture_after_asterisk_answered_again() -> None:
    asterisk = Asterisk()

    asterisk.looks(*3 * [SILENT], ALIVE, *3 * [SILENT])

    assert asterisk.requests == [4242, 4242]


def test_there_are_at_most_so_many_a_day() -> None:
    asterisk = Asterisk()

    asterisk.looks(*3 * [*3 * [SILENT], ALIVE])
    assert asterisk.requests == [4242, 4242]
    assert asterisk.said[-1].endswith("no capture, since there were 2 within a day (deadlock.per_day)")
    asterisk.now += timedelta(days=1)
    asterisk.looks(*3 * [SILENT])

    assert asterisk.requests == [4242, 4242, 4242]


def test_those_of_a_clock_that_was_set_back_since_do_not_count() -> None:
    asterisk = Asterisk(now=NOON + timedelta(days=3650))
    asterisk.looks(*2 * [*3 * [SILENT], ALIVE])

    asterisk.now = NOON
    asterisk.looks(*3 * [SILENT])

    assert asterisk.requests == [4242, 4242, 4242]


def test_captures_that_an_earlier_daemon_asked_for_count() -> None:
    asterisk = Asterisk(captures=2)

    asterisk.looks(*3 * [SILENT])

    assert asterisk.requests == []


def test_a_process_that_dumps_core_or_is_traced_is_left_alone() -> None:
    asterisk = Asterisk(fit=False)

    asterisk.looks(*9 * [SILENT])

    assert asterisk.requests == []


def test_where_nobody_listens_nobody_hangs() -> None:
    asterisk = Asterisk()

    asterisk.looks(*9 * [NOBODY])

    assert asterisk.requests == []


@pytest.mark.parametrize(("only_one", "before", "pid"), [(7, (), 7), (None, (ALIVE,), 4242)])
def test_a_console_that_does_not_even_accept_is_the_only_ones_or_that_of_before(
    only_one: int | None, before: tuple[Answer, ...], pid: int
) -> None:
    asterisk = Asterisk(only_one=only_one)

    asterisk.looks(*before, *3 * [UNREACHABLE])

    assert asterisk.requests == [pid]


def test_without_knowing_which_process_there_is_no_capture() -> None:
    asterisk = Asterisk(only_one=None)

    asterisk.looks(*9 * [UNREACHABLE])

    assert asterisk.requests == []
