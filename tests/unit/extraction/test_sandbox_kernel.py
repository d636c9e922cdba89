"""A sandboxed thread and the programs that it starts cannot write files or reach other processes; others can."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from astbtd.extraction import sandbox_kernel
from astbtd.extraction.sandbox_kernel import landlock_version, missing_restrictions, run_sandboxed
from tests.support.missing_kernel_parts import command_without

Result = TypeVar("Result")

needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")

TRY_TO_WRITE = """
import json, os, sys
from astbtd.extraction import sandbox_kernel
from astbtd.extraction.sandbox_kernel import run_sandboxed, missing_restrictions

version = min(sandbox_kernel.landlock_version(), int(sys.argv[1]))
sandbox_kernel.landlock_version = lambda: version
opened = os.open("open", os.O_WRONLY)
attempts = {
    "create": lambda: os.open("new", os.O_CREAT | os.O_RDONLY),
    "write": lambda: os.open("open", os.O_WRONLY),
    "read and write": lambda: os.open("open", os.O_RDWR),
    "truncate on opening": lambda: os.open("open", os.O_TRUNC),
    "truncate on opening without access": lambda: os.open("open", os.O_TRUNC | os.O_ACCMODE),
    "truncate": lambda: os.truncate("open", 0),
    "unnamed": lambda: os.open(".", os.O_TMPFILE | os.O_RDWR),
    "directory": lambda: os.mkdir("directory"),
    "link": lambda: os.link("open", "linked"),
    "symbolic link": lambda: os.symlink("open", "symbolic"),
    "rename": lambda: os.rename("open", "renamed"),
    "remove": lambda: os.unlink("open"),
    "fifo": lambda: os.mkfifo("fifo"),
    "memory": lambda: os.memfd_create("memory"),
    "read": lambda: os.open("open", os.O_RDONLY),
    "append to what is open": lambda: os.write(opened, b"more"),
}

def succeeds(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True

with run_sandboxed(lambda: [name for name, attempt in attempts.items() if succeeds(attempt)]) as done:
    print(json.dumps([done, missing_restrictions()]))
"""
"""Prints which attempts succeed in a restricted thread, and what the sandbox lacks. Argument: the newest Landlock."""

TRUNCATIONS = ["truncate on opening", "truncate on opening without access", "truncate"]
BEFORE_TRUNCATION = 2
ANY_VERSION = 1000


def sandboxed(function: Callable[[], Result]) -> Result:
    """Return what the function returns in a restricted thread, which has ended then."""
    with run_sandboxed(function) as result:
        return result


def attempts_that_succeed(
    directory: Path, *, without: list[str], newest_landlock: int = ANY_VERSION
) -> tuple[list[str], list[str]]:
    """Return which attempts of TRY_TO_WRITE succeed without some parts of the kernel, and what is reported missing."""
    (directory / "open").write_bytes(b"some")
    command = command_without(without, [sys.executable, "-c", TRY_TO_WRITE, str(newest_landlock)])
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=True)
    succeeded, missing = json.loads(done.stdout)
    return succeeded, missing


def test_results_and_exceptions_reach_the_caller() -> None:
    assert sandboxed(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        sandboxed(lambda: 1 // 0)


@needs_landlock
def test_only_files_that_are_open_already_can_be_written(tmp_path: Path) -> None:
    with (tmp_path / "open").open("wb", buffering=0) as already_open:
        sandboxed(lambda: already_open.write(b"written"))
    for attempt in ((tmp_path / "open").unlink, (tmp_path / "new").touch, (tmp_path / "directory").mkdir):
        with pytest.raises(PermissionError):
            sandboxed(attempt)

    assert (tmp_path / "open").read_bytes() == b"written"
    assert sandboxed((tmp_path / "open").read_bytes) == b"written"
    assert os.listdir(tmp_path) == ["open"]


def test_sockets_cannot_be_created() -> None:
    for family in (socket.AF_UNIX, socket.AF_INET):
        with pytest.raises(PermissionError):
            sandboxed(partial(socket.socket, family))


def test_memory_outside_the_address_space_cannot_be_allocated() -> None:
    with pytest.raises(PermissionError):
        sandboxed(lambda: os.memfd_create("memory"))


def test_disk_space_cannot_be_preallocated(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    with (tmp_path / "file").open("wb") as file:
        taken = sandboxed(lambda: libc.fallocate(file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(1 << 20)))

    assert taken == -1
    assert (tmp_path / "file").stat().st_blocks == 0


def test_programs_started_by_the_thread_are_restricted_too(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "file")]

    assert sandboxed(lambda: subprocess.run(touch, stderr=subprocess.DEVNULL, check=False)).returncode != 0
    assert not (tmp_path / "file").exists()


def test_other_threads_are_not_restricted(tmp_path: Path) -> None:
    sandboxed(lambda: None)

    subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], check=True)
    (tmp_path / "file").touch()
    socket.socket(socket.AF_UNIX).close()


@needs_landlock
def test_on_a_complete_kernel_nothing_is_reported_missing() -> None:
    assert missing_restrictions() == ()


def test_without_landlock_no_file_is_written_either_and_that_is_reported(tmp_path: Path) -> None:
    succeeded, missing = attempts_that_succeed(tmp_path, without=["landlock"])

    assert succeeded == ["read", "append to what is open"]
    assert missing == [sandbox_kernel.NO_LANDLOCK]
    assert os.listdir(tmp_path) == ["open"]


@needs_landlock
def test_without_seccomp_no_file_is_written_and_that_is_reported(tmp_path: Path) -> None:
    succeeded, missing = attempts_that_succeed(tmp_path, without=["seccomp"])

    truncations = [] if landlock_version() > BEFORE_TRUNCATION else TRUNCATIONS
    assert succeeded == [*truncations, "memory", "read", "append to what is open"]
    assert missing == [sandbox_kernel.NO_FILTER]


@needs_landlock
@pytest.mark.parametrize("newest_landlock", [BEFORE_TRUNCATION, ANY_VERSION])
def test_no_file_is_truncated_with_any_version_of_landlock(tmp_path: Path, newest_landlock: int) -> None:
    succeeded, missing = attempts_that_succeed(tmp_path, without=[], newest_landlock=newest_landlock)

    assert (succeeded, missing) == (["read", "append to what is open"], [])


def test_a_sandbox_without_both_is_reported(tmp_path: Path) -> None:
    assert attempts_that_succeed(tmp_path, without=["landlock", "seccomp"])[1] == [sandbox_kernel.NO_FILE_PROTECTION]
