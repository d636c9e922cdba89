"""A backtrace is parsed while gdb goes on, and parsed again only if it has changed."""

from pathlib import Path

import pytest

from astbtd.elf.core_notes import read_facts
from astbtd.extraction.extracted_core import ReadableCore
from astbtd.model.crash import Section
from astbtd.pipeline.core_diagnosis import CoreDiagnosis
from tests.support.builders import DeadProcess


@pytest.fixture
def diagnosis(tmp_path: Path) -> CoreDiagnosis:
    """The diagnosis of a core whose backtrace has one frame."""
    (tmp_path / Section.BACKTRACE).write_text("Thread 1 (LWP 7):\n#0  0x1 in main () at main.c:1\n")
    (tmp_path / "core").write_bytes(DeadProcess().core())
    with (tmp_path / "core").open("rb") as core:
        return CoreDiagnosis(ReadableCore(core.fileno(), read_facts(core.fileno())), tmp_path)


def test_a_backtrace_is_parsed_once(diagnosis: CoreDiagnosis) -> None:
    first = diagnosis.read_backtrace()

    assert diagnosis.read_backtrace() is first
    assert [frame.function for thread in first.threads for frame in thread.frames] == ["main"]


def test_a_missing_backtrace_has_no_threads(diagnosis: CoreDiagnosis, tmp_path: Path) -> None:
    diagnosis.read_backtrace()
    (tmp_path / Section.BACKTRACE).unlink()

    assert diagnosis.read_backtrace().threads == ()


def test_a_backtrace_that_was_written_again_is_parsed_again(diagnosis: CoreDiagnosis, tmp_path: Path) -> None:
    diagnosis.read_backtrace()
    (tmp_path / Section.BACKTRACE).write_text("Thread 1 (LWP 7):\n#0  0x1 in second () at main.c:1\n")

    again = diagnosis.read_backtrace()

    assert [frame.function for thread in again.threads for frame in thread.frames] == ["second"]
