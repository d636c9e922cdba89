"""What fails at each start of a unit is logged once, and once when it is over."""

from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.lib.failure_notes import FailureNotes, failure_notes
from tests.support.builders import NOON


class Log:
    """The notes of a unit that is started again and again, and what was logged."""

    def __init__(self, notes: FailureNotes) -> None:
        self.notes = notes
        self.lines: list[str] = []
        self.starts = 0

    def fail(self, message: str) -> None:
        self.notes.fail(message, NOON + timedelta(minutes=5 * self.starts), lambda: self.lines.append(message))
        self.starts += 1

    def succeed(self) -> None:
        self.notes.succeed(lambda failure: self.lines.append(f"over, since {failure.since:%H:%M}"))
        self.starts += 1


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(failure_notes({"RUNTIME_DIRECTORY": str(tmp_path)}, "step"))


def test_a_failure_is_logged_when_it_begins_and_when_it_is_over(log: Log) -> None:
    for _ in range(3):
        log.fail("the disk is full")
    log.succeed()
    log.succeed()
    log.fail("the disk is full")

    assert log.lines == ["the disk is full", "over, since 12:00", "the disk is full"]


def test_reasons_that_alternate_are_logged_once_each(log: Log) -> None:
    for _ in range(3):
        log.fail("the disk is full")
        log.fail("the state is damaged")
    log.succeed()

    assert log.lines == ["the disk is full", "the state is damaged", "over, since 12:00"]


def test_the_failure_that_lasts_can_be_read(log: Log) -> None:
    assert log.notes.read() is None

    log.fail("the disk is full")
    log.fail("the state is damaged")

    noted = log.notes.read()
    assert noted is not None
    assert (noted.since, noted.messages) == (NOON, ("the disk is full", "the state is damaged"))


def test_messages_are_noted_in_bounds(log: Log) -> None:
    for number in range(100):
        log.fail(f"{number} {'x' * 100_000}")
        log.fail(f"{number} {'x' * 100_000}")

    assert len(log.lines) == 100
    assert log.notes.file is not None
    assert log.notes.file.stat().st_size < 30_000


def test_without_a_unit_every_failure_is_logged_and_no_end() -> None:
    log = Log(failure_notes({}, "step"))

    log.fail("the disk is full")
    log.fail("the disk is full")
    log.succeed()

    assert log.lines == ["the disk is full"] * 2


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"since": "x", "messages": []}'])
def test_damaged_notes_are_replaced(log: Log, content: str) -> None:
    assert log.notes.file is not None
    log.notes.file.write_text(content)

    log.fail("the disk is full")
    log.fail("the disk is full")

    assert log.lines == ["the disk is full"]


def test_what_cannot_be_noted_is_logged_each_time(tmp_path: Path) -> None:
    log = Log(FailureNotes(tmp_path / "missing" / "step.json"))

    log.fail("the disk is full")
    log.fail("the disk is full")

    assert log.lines == ["the disk is full"] * 2
