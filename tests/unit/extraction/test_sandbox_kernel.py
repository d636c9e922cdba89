"""A sandboxed thread and the programs that it starts cannot write files or reach other processes; others can."""

import ctypes
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from astbtd.extraction.sandbox_kernel import can_filter_system_calls, landlock_version, run_sandboxed

needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
needs_numbers = pytest.mark.skipif(not can_filter_system_calls(), reason="system call numbers are unknown")


def test_results_and_exceptions_reach_the_caller() -> None:
    assert run_sandboxed(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        run_sandboxed(lambda: 1 // 0)


@needs_landlock
def test_only_files_that_are_open_already_can_be_written(tmp_path: Path) -> None:
    with (tmp_path / "open").open("wb", buffering=0) as already_open:
        run_sandboxed(lambda: already_open.write(b"written"))
    for attempt in ((tmp_path / "open").unlink, (tmp_path / "new").touch, (tmp_path / "directory").mkdir):
        with pytest.raises(PermissionError):
            run_sandboxed(attempt)

    assert (tmp_path / "open").read_bytes() == b"written"
    assert run_sandboxed((tmp_path / "open").read_bytes) == b"written"
    assert os.listdir(tmp_path) == ["open"]


@needs_landlock
def test_links_can_be_created_in_the_given_directories(tmp_path: Path) -> None:
    run_sandboxed(lambda: (tmp_path / "link").symlink_to("/etc/passwd"), writable=[str(tmp_path)])

    with pytest.raises(PermissionError):
        run_sandboxed((tmp_path / "file").touch, writable=[str(tmp_path)])
    assert os.listdir(tmp_path) == ["link"]


@needs_numbers
def test_sockets_cannot_be_created() -> None:
    for family in (socket.AF_UNIX, socket.AF_INET):
        with pytest.raises(PermissionError):
            run_sandboxed(partial(socket.socket, family))


@needs_numbers
def test_disk_space_cannot_be_preallocated(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    with (tmp_path / "file").open("wb") as file:
        taken = run_sandboxed(lambda: libc.fallocate(file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(1 << 20)))

    assert taken == -1
    assert (tmp_path / "file").stat().st_blocks == 0


@needs_landlock
def test_programs_started_by_the_thread_are_restricted_too(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "file")]

    assert run_sandboxed(lambda: subprocess.run(touch, stderr=subprocess.DEVNULL, check=False)).returncode != 0
    assert not (tmp_path / "file").exists()


@needs_landlock
def test_other_threads_are_not_restricted(tmp_path: Path) -> None:
    run_sandboxed(lambda: None)

    subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], check=True)
    (tmp_path / "file").touch()
    socket.socket(socket.AF_UNIX).close()
