"""The report of a capture: the finding first, then who waits for whom, then what to do."""

from dataclasses import replace

import pytest

from astbtd.diagnosis.deadlock.deadlock_report import render
from astbtd.model.deadlock_capture import Finding
from tests.support.deadlocks import capture
from tests.support.harmless import harmless


def test_the_finding_is_the_first_line() -> None:
    assert render(capture(), []).splitlines()[0] == capture().summary


def test_further_cycles_follow() -> None:
    assert render(capture(), ["LWP 21 waits"]).splitlines()[1] == "also: LWP 21 waits"


def test_it_has_the_time_the_pause_and_the_answer_of_the_console() -> None:
    report = render(capture(), [])

    assert "When:      2026-11-22 12:00:00 UTC on pbx1 (capture 20261122T120000Z-4242-abcdef)" in report
    assert "Process:   4242, Asterisk 22.10.0, asterisk -g -f" in report
    assert "Paused:    21 ms at 12:00:00 UTC, 75 threads" in report
    assert "Locks:     `core show locks` not answered in time" in report


def test_every_wait_has_a_line() -> None:
    report = render(capture(), [])

    assert (
        "LWP 11 in try_calling at app_queue.c:4321: mutex queue 0x10, owner: LWP 12, waiting for a lock\n"
        "LWP 12 in leave_queue: rwlock 0x20, owner: LWP 11, waiting for a lock\n"
    ) in report


@pytest.mark.parametrize("finding", Finding)
def test_every_finding_has_advice(finding: Finding) -> None:
    assert "\n1. " in render(capture(finding=finding), [])


def test_debug_threads_is_recommended_only_if_it_is_missing() -> None:
    asterisk = capture().asterisk
    assert "DEBUG_THREADS" in render(capture(), [])
    assert "DEBUG_THREADS" not in render(replace(capture(), asterisk=replace(asterisk, debug_threads=True)), [])


def test_text_from_the_core_cannot_control_a_terminal() -> None:
    evil = "\x1b[2J\u202e\nLWP 1 is fine"
    record = capture()
    waits = tuple(replace(wait, lock_name=evil, function=evil, file=evil) for wait in record.wait_for)

    report = render(replace(record, wait_for=waits, summary=evil), [evil])

    assert all(map(harmless, report.rstrip("\n").split("\n")))
