"""Findings about the core, the binary and gdb."""

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import (
    Extraction,
    ExtractionOutcome,
    LostCore,
    Symbols,
    Verdict,
)
from tests.support.backtraces import (
    prose,
)


def extraction(ended: ExtractionOutcome, *notes: str) -> Extraction:
    return Extraction("13.1", 1.0, ended, {}, Symbols.LAZY, notes)


@pytest.mark.parametrize("text", ["", "No stack.\n", "\0\0\0"])
def test_a_text_without_frames_is_unusable_with_a_reason(text: str) -> None:
    diagnosis = diagnose(text)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.memory_corruption) == (Verdict.UNUSABLE, 0.0, None)
    assert diagnosis.reasons
    assert diagnosis.advice
    assert diagnosis.signature == diagnose(text).signature


@pytest.mark.parametrize(
    ("evidence", "verdict", "word"),
    [
        (Evidence(truncated=True), Verdict.PARTIAL, "LimitCORE"),
        (Evidence(changed_binary=True), Verdict.UNUSABLE, "another build"),
        (Evidence(unreadable=("/a.so", "/b.so", "/c.so", "/d.so")), Verdict.PARTIAL, "/a.so, /b.so, /c.so and 1 more"),
        (Evidence(extraction=extraction(ExtractionOutcome.TIMEOUT)), Verdict.PARTIAL, "gdb.time"),
        (Evidence(extraction=extraction(ExtractionOutcome.TOO_MUCH_OUTPUT)), Verdict.PARTIAL, "gdb.output"),
        (Evidence(extraction=extraction(ExtractionOutcome.KILLED)), Verdict.PARTIAL, "memory"),
        (Evidence(extraction=extraction(ExtractionOutcome.FAILED)), Verdict.PARTIAL, "gdb.log"),
        (
            Evidence(extraction=extraction(ExtractionOutcome.OK, "200 frames a thread at most.")),
            Verdict.USABLE,
            "200 frames",
        ),
    ],
)
def test_problems_of_the_extraction_are_reported(
    two_threads: str, evidence: Evidence, verdict: Verdict, word: str
) -> None:
    diagnosis = diagnose(two_threads, evidence)

    assert diagnosis.verdict is verdict
    assert word in prose(diagnosis)


def test_a_changed_binary_does_not_call_for_symbols_of_the_wrong_build(stripped: str) -> None:
    assert "dbgsym" not in prose(diagnose(stripped, Evidence(changed_binary=True)))


def test_a_stack_that_gdb_could_not_unwind_is_reported() -> None:
    diagnosis = diagnose(
        "#0  0x1 in f () at f.c:1\nBacktrace stopped: previous frame inner to this frame (corrupt stack?)\n"
    )

    assert diagnosis.verdict is Verdict.PARTIAL
    assert "corrupt stack?" in prose(diagnosis)


def test_a_lost_core_is_reported_with_its_remedy() -> None:
    diagnosis = diagnose("", Evidence(loss=LostCore("It is gone.", "Keep the next one.")))

    assert (diagnosis.reasons, diagnosis.advice) == (("It is gone.",), ("Keep the next one.",))
    assert diagnosis.verdict is Verdict.UNUSABLE


def test_a_container_with_unknown_files_is_reported_with_the_setting(two_threads: str) -> None:
    diagnosis = diagnose(two_threads, Evidence(container=True))

    assert "container" in diagnosis.reasons[1]
    assert "gdb.container_root" in diagnosis.advice[0]
