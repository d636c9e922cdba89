"""`astbtd run`: a daemon that cannot start says why in one line of the status, and in the journal as an error."""

import os
import socket
from pathlib import Path

import pytest

from tests.support.cli_types import Run


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A service manager that receives the states."""
    received = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    received.bind(str(tmp_path / "notify"))
    received.settimeout(10)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return received


def test_errors_of_a_configuration_are_one_line_in_the_status(
    run: Run, configuration: Path, manager: socket.socket
) -> None:
    configuration.write_text("store: here\ngdb: {time: long}\n")

    answer = run("--config", configuration, "run")

    status = manager.recv(4096).decode()
    manager.close()
    assert answer.code == 78
    assert status.startswith(f"STATUS=failed: {configuration}: 2 errors; store: must be an absolute path")
    assert "gdb.time: must be a duration" in status
    assert "\n" not in status


def test_in_a_unit_the_error_is_logged_with_the_priority_of_an_error(
    run: Run, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    configuration.write_text("store: here\n")

    answer = run("--config", configuration, "run")

    assert answer.code == 78
    assert answer.err.startswith("<3>failed: ")
    assert "store: must be an absolute path" in answer.err
    assert answer.err.count("\n") == 1
