"""The directory to which a running safe_asterisk moves cores is found without executing its scripts."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.asterisk.safe_asterisk import find_dump_drops


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The configuration file of Asterisk, beside the directory with the scripts of safe_asterisk."""
    (tmp_path / "startup.d").mkdir()
    return tmp_path / "asterisk.conf"


@pytest.fixture(params=[{}, {"DUMPDROP": "/srv/drop"}, {"DUMPDROP": "drop"}])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(request.param)


@pytest.fixture
def running(tmp_path: Path, environment: dict[str, str]) -> Iterator[None]:
    """A safe_asterisk that runs until the end of the test."""
    script = tmp_path / "safe_asterisk"
    script.write_text("#!/bin/sh\necho started\nread line\n")
    script.chmod(0o755)
    process = subprocess.Popen(
        [script], env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    yield
    process.communicate()


def test_without_a_safe_asterisk_there_is_no_directory(configuration: Path) -> None:
    assert find_dump_drops(configuration) == ()


@pytest.mark.usefixtures("running")
def test_the_environment_names_the_directory_and_the_default_is_tmp(
    configuration: Path, environment: dict[str, str]
) -> None:
    expected = environment.get("DUMPDROP", "")

    assert find_dump_drops(configuration) == (expected if expected.startswith("/") else "/tmp",)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("environment", [{"DUMPDROP": "/srv/drop"}], indirect=True)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DUMPDROP=/var/spool/drop", "/var/spool/drop"),
        ("export DUMPDROP='/var/spool/drop' # cores", "/var/spool/drop"),
        ('  DUMPDROP="/var/spool/drop"', "/var/spool/drop"),
        ("#DUMPDROP=/var/spool/drop", "/srv/drop"),
        ("DUMPDROP=$(touch /var/spool/drop)", "/srv/drop"),
        ("DUMPDROP=`id`", "/srv/drop"),
        ("DUMPDROP=/$HOME", "/srv/drop"),
    ],
)
def test_the_scripts_in_startup_d_are_read_and_not_executed(configuration: Path, line: str, expected: str) -> None:
    (configuration.parent / "startup.d" / "drop.sh").write_text(f"TTY=9\n{line}\nRUNDIR=/tmp\n")

    assert find_dump_drops(configuration) == (expected,)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("environment", [{}], indirect=True)
def test_a_fifo_among_the_scripts_does_not_block(configuration: Path) -> None:
    os.mkfifo(configuration.parent / "startup.d" / "evil.sh")

    assert find_dump_drops(configuration) == ("/tmp",)
