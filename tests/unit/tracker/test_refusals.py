"""Crashes and captures that do not belong in Asterisk's tracker, each with the reason and what to do instead."""

from dataclasses import replace
from typing import Any

import pytest

from astbtd.model.crash import Crash, Verdict
from astbtd.model.deadlock_capture import Finding
from astbtd.model.diagnosis import Kind
from astbtd.tracker.refusals import NotForTracker, refuse_capture, refuse_crash
from tests.support.builders import NOON, crash
from tests.support.deadlocks import capture


def diagnosed(**changes: Any) -> Crash:
    return replace(crash(), diagnosis=replace(crash().diagnosis, **changes))


def refusal(refused: Crash) -> str:
    with pytest.raises(NotForTracker) as caught:
        refuse_crash(refused)
    return f"{caught.value.message}; {caught.value.remedy}"


@pytest.mark.parametrize("verdict", [Verdict.USABLE, Verdict.PARTIAL])
def test_a_crash_of_the_pbx_is_not_refused(verdict: Verdict) -> None:
    refuse_crash(diagnosed(verdict=verdict))


def test_an_unusable_crash_is_refused_with_the_reason_and_the_advice() -> None:
    unusable = diagnosed(verdict=Verdict.UNUSABLE, reasons=("The core is truncated.",), advice=("Raise the limit.",))

    assert refusal(unusable) == (
        f"no issue for {crash().id}: its backtrace is unusable: The core is truncated.; Raise the limit."
    )


def test_a_foreign_crash_is_refused_with_its_program() -> None:
    assert "but of /usr/sbin/asterisk" in refusal(replace(crash(), foreign=True))


def test_a_signal_that_was_sent_is_refused_with_the_headline() -> None:
    sent = diagnosed(headline="SIGSEGV sent by pid 7 (uid 0): not a fault of Asterisk, do not file")

    assert "sent by pid 7" in refusal(replace(sent, kind=Kind.SENT))


def test_a_signal_sent_to_a_deadlocked_asterisk_is_not_refused() -> None:
    refuse_crash(replace(diagnosed(deadlock=True), kind=Kind.SENT))


def test_a_crash_in_a_library_of_others_is_refused_with_where_to_report_it() -> None:
    reason = "The crash is in /usr/lib/libfoo.so.1, which is not a part of Asterisk and belongs to package libfoo1."
    where = "Report it to the maintainers of libfoo1 (Debian: `reportbug libfoo1`)."

    text = refusal(diagnosed(reasons=("Named.", reason), advice=("First.", where)))

    assert reason in text
    assert where in text


def test_a_crash_without_its_texts_is_refused() -> None:
    assert "texts were removed" in refusal(replace(crash(), texts_removed_at=NOON))


@pytest.mark.parametrize("finding", [Finding.DEADLOCK, Finding.STUCK])
def test_a_capture_of_a_hanging_asterisk_is_not_refused(finding: Finding) -> None:
    refuse_capture(capture(finding=finding))


@pytest.mark.parametrize("finding", [Finding.NONE, Finding.UNKNOWN])
def test_a_capture_without_a_finding_is_refused(finding: Finding) -> None:
    with pytest.raises(NotForTracker, match=capture(finding=finding).summary.split(":")[0]):
        refuse_capture(capture(finding=finding))


def test_a_deadlock_without_symbols_is_refused() -> None:
    nameless = tuple(replace(wait, function=None) for wait in capture().wait_for)

    with pytest.raises(NotForTracker, match="symbols are missing"):
        refuse_capture(replace(capture(), wait_for=nameless))
