"""The Debian package as it is built: reproducible, accepted by lintian, its tests run as an ordinary user."""

import subprocess
from pathlib import Path

import pytest

from tests.support.containers import debian_package

_AS_USER = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/nonexistent")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built with its tests."""
    return debian_package.build(tmp_path_factory.mktemp("first"), options="")


def test_two_builds_give_the_same_package(package: Path, tmp_path: Path) -> None:
    assert debian_package.build(tmp_path).read_bytes() == package.read_bytes()


def test_lintian_has_nothing_to_report(package: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for file in package.parent.iterdir():  # nobody cannot read the directories of pytest
        subprocess.run(("install", "-m", "644", file, "/var/tmp/"), check=True)
    changes = [f"/var/tmp/{file.name}" for file in package.parent.glob("*.changes")]
    try:
        checked = subprocess.run(
            (*_AS_USER, "lintian", "--pedantic", "--tag-display-limit", "0", *changes), capture_output=True, text=True
        )
    finally:
        for file in package.parent.iterdir():
            Path("/var/tmp", file.name).unlink()
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_the_command_does_not_import_from_directories_of_users(package: Path) -> None:
    archive = subprocess.run(("dpkg-deb", "--fsys-tarfile", package), check=True, capture_output=True).stdout
    command = subprocess.run(
        ("tar", "--extract", "--to-stdout", "./usr/bin/astbtd"), check=True, input=archive, capture_output=True
    ).stdout
    assert command.split(b"\n")[0].removeprefix(b"#!").strip() == b"/usr/bin/python3 -I"
