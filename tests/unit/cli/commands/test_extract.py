"""`astbtd extract`: what it rejects before gdb runs. The extraction itself has integration tests."""

from pathlib import Path

import pytest

from tests.support.cli_types import Run


def test_each_file_that_is_not_a_core_is_reported_with_the_reason(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    configuration.write_text("gdb: {user: nobody}\n")
    (tmp_path / "text").write_text("no core")

    answer = run("extract", "--config", configuration, tmp_path / "text", tmp_path / "absent")

    assert answer.code == 1
    assert f"{tmp_path / 'text'}: not a core file\n  hint: " in answer.err
    assert f"{tmp_path / 'absent'}: No such file or directory\n  hint: " in answer.err


def test_without_any_core_there_is_no_newest(run: Run, configuration: Path, tmp_path: Path) -> None:
    configuration.write_text("gdb: {user: nobody}\n")

    answer = run("extract", "--config", configuration, "--newest", tmp_path)

    assert answer.code == 3
    assert f"no core of Asterisk in {tmp_path}" in answer.err


def test_no_directory_is_created_for_a_file_that_is_not_a_core(run: Run, configuration: Path, tmp_path: Path) -> None:
    configuration.write_text("gdb: {user: nobody}\n")
    (tmp_path / "text").write_text("no core")

    answer = run("extract", "--config", configuration, "--output", tmp_path / "new", tmp_path / "text")

    assert answer.code == 1
    assert f"{tmp_path / 'text'}: not a core file\n  hint: " in answer.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("chosen", [["latest"], ["--signature", "12ab"], ["--unusable"]])
def test_a_recorded_crash_is_not_extracted_to_a_directory(
    run: Run, configuration: Path, tmp_path: Path, chosen: list[str]
) -> None:
    answer = run("extract", "--config", configuration, "--output", tmp_path / "new", *chosen)

    assert answer.code == 2
    assert "--output and --executable need a core file" in answer.err


@pytest.mark.parametrize("options", [[], ["--newest"], ["--output", "new"]])
def test_something_to_extract_must_be_named(run: Run, configuration: Path, options: list[str]) -> None:
    answer = run("extract", "--config", configuration, *options)

    assert answer.code == 2
    assert "give a core file or the id of a crash" in answer.err
