"""Other programs in the control group of a process: real processes, here in that of the tests."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astbtd.readiness.gather.unit_programs import find_other_programs
from astbtd.sources import core_pattern

Start = Callable[..., None]
HARD_LIMIT = resource.getrlimit(resource.RLIMIT_CORE)[1]

pytestmark = pytest.mark.skipif(HARD_LIMIT == 0, reason="no program dumps core here")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program that waits, under another name, in the directory of the test or in another one."""
    processes = []

    def start(name: str, directory: Path = tmp_path, *, dumps: bool = True) -> None:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_CORE, (HARD_LIMIT if dumps else 0, HARD_LIMIT))

        processes.append(
            subprocess.Popen(
                [name],
                executable="/bin/cat",
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=limit,
                bufsize=0,
            )
        )
        stdin, stdout = processes[-1].stdin, processes[-1].stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"x")
        assert stdout.read(1) == b"x"  # it runs the program now

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def asterisk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The test itself, working in its directory."""
    monkeypatch.chdir(tmp_path)
    return os.getpid()


def test_a_program_with_the_same_working_directory_is_found(asterisk: int, start: Start) -> None:
    start("astcanary")
    start("astcanary")

    assert find_other_programs(asterisk, core_pattern.parse("core")) == ("astcanary",)


def test_with_a_relative_pattern_a_program_elsewhere_does_not_count(
    asterisk: int, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    start("elsewhere", tmp_path_factory.mktemp("elsewhere"))

    assert find_other_programs(asterisk, core_pattern.parse("core")) == ()
    assert "elsewhere" in find_other_programs(asterisk, core_pattern.parse("/var/cores/core"))


def test_a_program_that_leaves_no_core_does_not_count(asterisk: int, start: Start) -> None:
    start("limited", dumps=False)

    assert find_other_programs(asterisk, core_pattern.parse("core")) == ()
