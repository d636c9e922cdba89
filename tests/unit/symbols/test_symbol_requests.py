"""The request of the daemon and the answers of the networked unit."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.symbols.symbol_directories import SymbolDirectories
from astbtd.symbols.symbol_requests import (
    MOST_WANTED,
    Answer,
    Result,
    read_answers,
    read_wanted,
    write_answers,
    write_wanted,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FIRST, SECOND = "ab" * 20, "cd" * 20


@pytest.fixture
def directories(tmp_path: Path) -> SymbolDirectories:
    made = SymbolDirectories(tmp_path / "cache")
    made.root.mkdir()
    made.downloads.mkdir()
    return made


def test_a_request_has_its_order_and_everybody_can_read_it(directories: SymbolDirectories) -> None:
    write_wanted(directories, [SECOND, FIRST])

    assert read_wanted(directories) == (SECOND, FIRST)
    assert directories.wanted.stat().st_mode & 0o777 == 0o644


def test_what_is_no_build_id_is_not_wanted(directories: SymbolDirectories) -> None:
    directories.wanted.write_bytes(b"../../etc/passwd\n--help\n" + FIRST.encode() + b"\nabcd\n\xff\n")

    assert read_wanted(directories) == (FIRST,)


def test_a_request_is_limited(directories: SymbolDirectories) -> None:
    write_wanted(directories, [f"{number:040x}" for number in range(MOST_WANTED + 1)])

    assert len(read_wanted(directories)) == MOST_WANTED


def test_without_a_request_nothing_is_wanted(directories: SymbolDirectories) -> None:
    assert read_wanted(directories) == ()


def test_answers_are_read_as_they_were_written(directories: SymbolDirectories) -> None:
    answers = {FIRST: Answer(Result.FOUND, NOW), SECOND: Answer(Result.REFUSED, NOW, "not an ELF file")}

    write_answers(directories, answers)

    assert read_answers(directories) == answers


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, "[]", '{"answers": 1}', '{"answers": {"x": {"result": "found"}}}', "\x00"]
)
def test_invalid_answers_are_none(directories: SymbolDirectories, text: str) -> None:
    directories.answers.write_text(text)

    assert read_answers(directories) == {}


def test_answers_about_what_is_no_build_id_are_left_out(directories: SymbolDirectories) -> None:
    document = {"answers": {"../x": {"result": "found", "at": "2026-11-22T12:00:00Z"}}}
    directories.answers.write_text(json.dumps(document))

    assert read_answers(directories) == {}


def test_a_fifo_in_place_of_the_answers_does_not_block(directories: SymbolDirectories) -> None:
    os.mkfifo(directories.answers)

    assert read_answers(directories) == {}


@pytest.mark.parametrize("result", [Result.FOUND, Result.MISSING, Result.REFUSED])
def test_an_answer_holds_for_a_day(result: Result) -> None:
    answer = Answer(result, NOW)

    assert answer.is_valid(NOW + timedelta(hours=23))
    assert not answer.is_valid(NOW + timedelta(hours=25))
    assert not answer.is_valid(NOW - timedelta(hours=1))


def test_a_server_that_could_not_be_asked_is_asked_again() -> None:
    assert not Answer(Result.FAILED, NOW).is_valid(NOW)
