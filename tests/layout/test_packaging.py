"""Everything in packaging/, man/ and etc/ is installed, by the Debian package and by `make install`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.package_source import ROOT

DEBIAN, PACKAGING = ROOT / "debian", ROOT / "packaging"
TOOLS = {"build-deb", "install", "places", "uninstall"}
"""Programs that build or install; no part of an installation."""

INSTALLED = sorted(path for path in PACKAGING.rglob("*") if path.is_file() and path.name not in TOOLS)
UNITS = [path for path in INSTALLED if path.suffix in (".service", ".path", ".timer", ".socket")]
MANUALS = sorted((ROOT / "man").iterdir())


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def linked_from_debian() -> set[Path]:
    return {path.resolve() for path in DEBIAN.iterdir() if path.is_symlink()}


@pytest.mark.parametrize("path", INSTALLED, ids=name_of)
def test_each_file_is_in_the_debian_package(path: Path) -> None:
    listed = {line.split()[0] for file in DEBIAN.glob("*.install") for line in lines(file)}

    assert path in linked_from_debian() or name_of(path) in listed


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_each_unit_is_installed_by_its_name(unit: Path) -> None:
    name = unit.stem
    debian_name = f"astbtd.{unit.name}" if name != "astbtd" else unit.name

    assert (DEBIAN / debian_name).resolve() == unit
    assert re.search(rf"dh_installsystemd --name={re.escape(name)}( |$)", (DEBIAN / "rules").read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_each_unit_is_installed_by_make_install(unit: Path) -> None:
    (units,) = re.findall(r"^units=\"(.*)\"$", (PACKAGING / "places").read_text(), re.MULTILINE)

    assert unit.name in units.split()


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_units_run_the_program_of_the_package(unit: Path) -> None:
    commands = re.findall(r"^Exec\w+=(\S+)", unit.read_text(), re.MULTILINE)

    assert [command for command in commands if command not in ("/usr/bin/astbtd", "/bin/kill")] == []


@pytest.mark.parametrize("page", MANUALS, ids=name_of)
def test_each_manual_page_is_installed(page: Path) -> None:
    assert name_of(page) in lines(DEBIAN / "astbtd.manpages")
    for program in ("install", "uninstall"):
        assert f"/share/man/man{page.suffix[1:]}/{page.name}" in (PACKAGING / program).read_text()


def test_make_install_installs_completions_and_uninstall_removes_them(tmp_path: Path) -> None:
    checkout, destination = tmp_path / "checkout", tmp_path / "destination"
    for part in ("astbtd", "completions", "etc", "man", "packaging"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    made = checkout / "build/completions"
    made.mkdir(parents=True)
    for name in ("astbtd", "_astbtd"):
        (made / name).write_text(f"completions in {name}\n")
    completions = [
        destination / "usr/local/share/bash-completion/completions/astbtd",
        destination / "usr/local/share/zsh/site-functions/_astbtd",
    ]

    subprocess.run((checkout / "packaging/install", destination, "/usr/local"), check=True, capture_output=True)
    assert [path.read_text() for path in completions] == ["completions in astbtd\n", "completions in _astbtd\n"]

    subprocess.run((checkout / "packaging/uninstall", destination, "/usr/local"), check=True, capture_output=True)
    assert not any(path.exists() for path in completions)
