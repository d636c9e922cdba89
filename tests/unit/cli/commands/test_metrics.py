"""`astbtd metrics`: the file appears whole, readable for the node exporter, or there is a clear error."""

import os
import sys
from pathlib import Path

import pytest

from astbtd.cli.commands import metrics
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run


@pytest.fixture
def directory(tmp_path: Path, configuration: Path) -> Path:
    """The configured directory of the node exporter."""
    directory = tmp_path / "node-exporter"
    directory.mkdir()
    with configuration.open("a") as file:
        file.write(f"metrics: {{textfile: {directory}}}\n")
    return directory


@pytest.fixture(autouse=True)
def unit_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon of this machine counts."""
    monkeypatch.setattr(metrics, "UNIT_DIRECTORY", str(tmp_path))


def test_the_file_is_replaced_and_readable_for_everybody(astbtd: Run, keep: Keep, directory: Path) -> None:
    (directory / "astbtd.prom").write_text("old\n")
    keep(crash())

    assert astbtd("metrics") == (0, "", "")

    assert [path.name for path in directory.iterdir()] == ["astbtd.prom"]
    assert (directory / "astbtd.prom").stat().st_mode & 0o777 == 0o644
    assert 'astbtd_crashes{signal="SIGSEGV",verdict="usable"} 1.0\n' in (directory / "astbtd.prom").read_text()


def test_it_is_printed_on_request_and_not_written(astbtd: Run, directory: Path) -> None:
    printed = astbtd("metrics", "--print")

    assert "\nastbtd_up 0.0\n" in printed.out
    assert list(directory.iterdir()) == []


def test_a_missing_directory_is_an_error_with_a_hint(astbtd: Run, directory: Path) -> None:
    directory.rmdir()

    code, _, error = astbtd("metrics")

    assert code == 1
    assert f"there is no directory {directory} (setting metrics.textfile)" in error
    assert "hint: install prometheus-node-exporter" in error


def test_a_file_that_cannot_be_written_is_an_error_and_the_old_one_stays(
    astbtd: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "astbtd.prom").write_text("old\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("astbtd.lib.files.write_all", fail)
    code, _, error = astbtd("metrics")

    assert code == 1
    assert f"cannot write {directory}/astbtd.prom: No space left on device" in error
    assert [(path.name, path.read_text()) for path in directory.iterdir()] == [("astbtd.prom", "old\n")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a link of another user")
def test_a_link_of_another_user_in_place_of_the_directory_is_not_followed(
    astbtd: Run, directory: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    directory.rename(victim)
    directory.symlink_to(victim)
    os.lchown(directory, 12345, 12345)

    code, _, error = astbtd("metrics")

    assert code == 1
    assert "is a symbolic link that another user owns" in error
    assert list(victim.iterdir()) == []


def test_without_the_library_the_error_names_its_package(
    astbtd: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "astbtd.metrics.exposition", raising=False)

    code, _, error = astbtd("metrics")

    assert code == 1
    assert "hint: apt install python3-prometheus-client" in error
    assert list(directory.iterdir()) == []
