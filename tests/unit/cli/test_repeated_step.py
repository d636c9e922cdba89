"""A step that a timer starts again and again logs a failure once, and once that it is over."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.cli.repeated_step import run_repeated
from astbtd.errors import AstbtdError, BadConfiguration, ExitCode


def fail_with(error: Exception) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a unit."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


@pytest.mark.usefixtures("unit")
def test_a_failure_is_logged_once_with_its_hint_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    error = AstbtdError("the state is damaged", "remove it")

    codes = [run_repeated("step", "working", fail_with(error)) for _ in range(3)]
    said = capsys.readouterr().err
    done = [run_repeated("step", "working", lambda: None) for _ in range(2)]
    recovered = capsys.readouterr().err

    assert codes == [ExitCode.FAILED] * 3
    assert said == "astbtd: the state is damaged\n  hint: remove it\n"
    assert done == [ExitCode.DONE] * 2
    assert "working works again, after " in recovered
    assert len(recovered.splitlines()) == 1


@pytest.mark.usefixtures("unit")
def test_the_exit_code_is_that_of_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_repeated("step", "working", fail_with(BadConfiguration("/etc/astbtd.yaml", ["x: unknown"])))

    assert code == ExitCode.BAD_CONFIGURATION
    assert "hint: correct the configuration" in capsys.readouterr().err


@pytest.mark.usefixtures("unit")
def test_an_error_of_the_system_is_logged_once_too(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [run_repeated("step", "working", fail_with(OSError(5, "Input/output error"))) for _ in range(2)]

    assert codes == [ExitCode.FAILED] * 2
    assert capsys.readouterr().err == "astbtd: working failed: Input/output error\n"


@pytest.mark.usefixtures("unit")
def test_in_the_journal_a_failure_is_an_error_and_its_end_a_notice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")

    run_repeated("step", "working", fail_with(AstbtdError("the state is damaged\nsecond line", "remove it")))
    run_repeated("step", "working", lambda: None)

    *error, end = capsys.readouterr().err.splitlines()
    assert error == ["<3>astbtd: the state is damaged", "<3>second line", "<3>  hint: remove it"]
    assert end.startswith("<5>astbtd: working works again, after ")


def test_a_command_that_no_unit_runs_says_each_time_what_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)

    for _ in range(2):
        run_repeated("step", "working", fail_with(AstbtdError("no")))

    assert capsys.readouterr().err == "astbtd: no\n" * 2
