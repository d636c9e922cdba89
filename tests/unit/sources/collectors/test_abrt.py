"""Cores of ABRT: problem directories, and when their elements are not trusted."""

import os
from pathlib import Path

import pytest

from astbtd.sources.collectors.abrt import COLLECTOR
from tests.support.builders import NOON, DeadProcess
from tests.support.collector_samples import accepted, refusal, store_as_abrt


@pytest.mark.parametrize("core", ["coredump", "coredump.zst"])
def test_the_metadata_of_a_problem_is_in_its_elements(spool: Path, core: str) -> None:
    path = store_as_abrt(spool, core)

    facts = accepted(COLLECTOR, path, spool)

    assert COLLECTOR.core_files(str(spool), path.parent.name) == [f"{path.parent.name}/{core}"]
    assert facts.crashed_at == NOON
    assert facts.process.command_line == "/usr/sbin/asterisk -g -f"
    assert facts.process.cwd == "/var/lib/asterisk"


def test_an_incomplete_problem_is_ignored(spool: Path) -> None:
    problem = store_as_abrt(spool).parent
    problem.rename(problem.with_name(f"{problem.name}.new"))

    assert COLLECTOR.core_files(str(spool), f"{problem.name}.new") == []


def test_another_root_directory_means_a_container(spool: Path) -> None:
    path = store_as_abrt(spool, rootdir="/var/lib/containers/storage/overlay/1/merged")

    assert accepted(COLLECTOR, path, spool).process.container


@pytest.mark.parametrize(
    ("element", "value", "reason"),
    [
        ("time", "noon", "its element time is not a number"),
        ("time", "9" * 19, "its element time is not a valid time"),
        ("cmdline", "asterisk\n-rx\x1b", "its element cmdline is not a line of text"),
        ("pwd", "x" * 100_000, "its element pwd is not a line of text"),
    ],
)
def test_a_problem_with_a_hostile_element_is_refused(spool: Path, element: str, value: str, reason: str) -> None:
    assert refusal(COLLECTOR, store_as_abrt(spool, **{element: value}), spool) == reason


def test_an_element_that_is_a_symbolic_link_or_a_fifo_is_ignored(spool: Path) -> None:
    path = store_as_abrt(spool)
    for name in ("cmdline", "pwd"):
        (path.parent / name).unlink()
    (path.parent / "cmdline").symlink_to("/etc/passwd")
    os.mkfifo(path.parent / "pwd")

    process = accepted(COLLECTOR, path, spool).process

    assert (process.command_line, process.cwd) == (DeadProcess().command_line, None)
