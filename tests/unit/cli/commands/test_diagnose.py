"""`astbtd diagnose`: text from any source, a verdict, an exit code that scripts can use."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.support.cli_types import Run
from tests.support.transcripts import DOUBLE_FREE, STRIPPED, TWO_THREADS


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


def test_bytes_that_are_not_utf_8_are_accepted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b'#0  0x1 in play (name=0x2 "caf\xe9") at p.c:1\n')

    assert json.loads(run("diagnose", "--json", file).out)["crash_function"] == "play"
