"""`astbtd core`: writes a kept core, and overwrites nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from astbtd.store.core_archive import compress_core
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run

CORE = b"\x7fELF" + bytes(100_000) + b"end"


@pytest.fixture
def kept(store: Store, keep: Keep, memory_file: Callable[[bytes], int]) -> Path:
    """The kept core of the newest crash."""
    keep(crash())
    compress_core(memory_file(CORE), store.kept_core(crash().id), lambda _: None)
    return store.kept_core(crash().id)


@pytest.mark.usefixtures("kept")
def test_a_core_is_written_to_a_file_that_only_its_owner_can_read(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "")
    assert (tmp_path / "core").read_bytes() == CORE
    assert (tmp_path / "core").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kept", "watched")
def test_progress_is_shown_on_a_terminal(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "\rdecompressing: 98K \r\x1b[K")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("output", [[], ["--output", "-"]])
def test_a_core_is_written_to_standard_output(configuration: Path, output: list[str]) -> None:
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "core", "latest", *output]

    assert subprocess.run(command, check=True, capture_output=True).stdout == CORE


@pytest.mark.usefixtures("kept")
def test_an_existing_file_is_not_overwritten(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").write_text("mine")

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "File exists" in answer.err
    assert (tmp_path / "core").read_text() == "mine"


@pytest.mark.usefixtures("kept")
def test_a_dangling_symbolic_link_is_not_followed(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(tmp_path / "elsewhere")

    assert astbtd("core", "latest", "--output", tmp_path / "core").code == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_core_leaves_no_file(astbtd: Run, kept: Path, tmp_path: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-40])

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "is damaged" in answer.err
    assert not (tmp_path / "core").exists()


def test_the_state_of_a_core_that_was_not_kept_is_reported(astbtd: Run, keep: Keep, tmp_path: Path) -> None:
    keep(crash(state=CoreState.LEFT))

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 3
    assert "it was left" in answer.err
    assert "/srv/core" in answer.err
    assert not (tmp_path / "core").exists()


def test_an_id_is_required(astbtd: Run) -> None:
    assert astbtd("core").code == 2


@pytest.mark.usefixtures("kept")
def test_a_core_is_not_written_to_a_terminal(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)

    answer = astbtd("core", "latest")

    assert answer.code == 2
    assert "refusing to write a core to a terminal\n" in answer.err
    assert f"astbtd core latest --output core.{crash().id}" in answer.err


def test_a_core_that_the_user_must_not_read_is_an_error(
    astbtd: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)

    answer = astbtd("core", "latest")

    assert (answer.code, answer.out) == (1, "")
    assert f"permission denied reading {kept}" in answer.err
