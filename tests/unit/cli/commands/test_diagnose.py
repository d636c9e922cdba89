"""`astbtd diagnose`: text from any source, a verdict, an exit code that scripts can use."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.support.cli_types import Run
from tests.support.transcripts import (
    DOUBLE_FREE,
    FRACK,
    LOCKS,
    STRIPPED,
    TWO_THREADS,
    USE_AFTER_FREE,
    VALGRIND,
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "bt.txt"
    file.write_text(TWO_THREADS)
    return file


def test_the_default_output_is_text_for_people(run: Run, text: Path) -> None:
    answer = run("diagnose", text)

    assert answer.code == 0
    assert answer.out.splitlines()[0] == "Asterisk crashed: SIGSEGV in speak"
    assert "Good enough to file? yes" in answer.out


def test_json_is_one_object_per_line_in_the_order_given(run: Run, text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(DOUBLE_FREE)

    answer = run("diagnose", "--json", other, text)

    objects = [json.loads(line) for line in answer.out.splitlines()]
    assert [each["crash_function"] for each in objects] == ["spoil", "speak"]
    assert set(objects[0]["signature"]) == {"id", "text", "rule"}


def test_the_output_for_each_of_several_files_has_its_name(run: Run, text: Path) -> None:
    assert run("diagnose", text, text).out.count(f"{text}\nAsterisk crashed") == 2


def test_standard_input_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TWO_THREADS.encode())))

    assert "SIGSEGV in speak" in run("diagnose", "-").out


def test_an_unusable_backtrace_has_an_exit_code(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stripped.txt"
    file.write_text(STRIPPED)

    assert run("diagnose", file).code == 4


def test_a_text_without_frames_matches_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prose.txt"
    file.write_text("It crashed.\n")

    answer = run("diagnose", file)

    assert answer.code == 3
    assert "no stack frame" in answer.out


def test_a_file_that_cannot_be_read_does_not_stop_the_others(run: Run, text: Path, tmp_path: Path) -> None:
    answer = run("diagnose", tmp_path / "absent.txt", text)

    assert answer.code == 1
    assert "No such file" in answer.err
    assert "hint: " in answer.err
    assert "SIGSEGV in speak" in answer.out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TWO_THREADS, 0),
        (STRIPPED, 4),
        (USE_AFTER_FREE, 0),
        (VALGRIND, 0),
        (FRACK, 0),
        (LOCKS, 0),
        ("Segmentation fault (core dumped)\n", 4),
        ("Program terminated with signal SIGSEGV, Segmentation fault.\n", 4),
        ("Thread 3 (LWP 3):\n#0  0x1 in poll ()\n#1  0x2 in listener () at l.c:1\n", 3),
        ("", 3),
    ],
    ids=["crash", "stripped", "sanitizer", "valgrind", "assertion", "deadlock", "log", "incomplete", "live", "nothing"],
)
def test_the_exit_code_follows_the_kind_and_the_verdict(run: Run, tmp_path: Path, text: str, code: int) -> None:
    file = tmp_path / "bt.txt"
    file.write_text(text)

    assert run("diagnose", file).code == code


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_texts_of_windows_programs_are_decoded(run: Run, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "bt.txt"
    file.write_bytes(TWO_THREADS.replace("\n", "\r\n").encode(encoding))

    assert run("diagnose", file).out.startswith("Asterisk crashed: SIGSEGV in speak\n")


def test_utf_16_on_standard_input_is_decoded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BufferedReader(io.BytesIO(TWO_THREADS.encode("utf-16")))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))

    assert "SIGSEGV in speak" in run("diagnose", "-").out


def test_bytes_that_are_not_utf_8_are_accepted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b'#0  0x1 in play (name=0x2 "caf\xe9") at p.c:1\n')

    assert json.loads(run("diagnose", "--json", file).out)["crash_function"] == "play"
