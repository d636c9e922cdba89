"""`astbtd core`: a kept core, whole, where nothing was before."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState
from astbtd.store import core_archive as archive
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.unit.cli.conftest import Keep, Run

CORE = b"\x7fELF" + bytes(100_000) + b"end"


@pytest.fixture
def kept(store: Store, keep: Keep, memory_file: Callable[[bytes], int]) -> Path:
    """The newest crash's kept core."""
    keep(crash())
    archive.keep(memory_file(CORE), store.kept_core(crash().id), lambda _: None)
    return store.kept_core(crash().id)


@pytest.mark.usefixtures("kept")
def test_a_core_is_written_to_a_file_for_its_owner_only(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "")
    assert (tmp_path / "core").read_bytes() == CORE
    assert (tmp_path / "core").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kept", "watched")
def test_who_waits_sees_how_much_is_written(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "\rdecompressing: 98K \r\x1b[K")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("output", [[], ["--output", "-"]])
def test_a_core_is_written_to_standard_output(configuration: Path, output: list[str]) -> None:
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "core", "latest", *output]

    assert subprocess.run(command, check=True, capture_output=True).stdout == CORE


@pytest.mark.usefixtures("kept")
def test_a_file_that_exists_is_not_overwritten(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").write_text("mine")

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "File exists" in answer.err
    assert (tmp_path / "core").read_text() == "mine"


@pytest.mark.usefixtures("kept")
def test_a_link_that_leads_nowhere_is_not_followed(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(tmp_path / "elsewhere")

    assert astbtd("core", "latest", "--output", tmp_path / "core").code == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_core_leaves_no_file(astbtd: Run, kept: Path, tmp_path: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-40])

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "is damaged" in answer.err
    assert not (tmp_path / "core").exists()


def test_a_core_that_was_not_kept_is_said_with_what_became_of_it(astbtd: Run, keep: Keep, tmp_path: Path) -> None:
    keep(crash(state=CoreState.LEFT))

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 3
    assert "it was left" in answer.err
    assert "/srv/core" in answer.err
    assert not (tmp_path / "core").exists()


def test_it_wants_to_know_which_crash(astbtd: Run) -> None:
    assert astbtd("core").code == 2
