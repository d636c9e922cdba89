"""A thread gives up to write and to reach others, the programs that it starts with it, and nobody else."""

import ctypes
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from astbtd.extraction.sandbox_kernel import landlock_version, machine_is_known, secluded

needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
needs_numbers = pytest.mark.skipif(not machine_is_known(), reason="this machine's system calls are not known")


def test_what_is_done_there_returns_and_raises_as_anywhere() -> None:
    assert secluded(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        secluded(lambda: 1 // 0)


@needs_landlock
def test_nothing_can_be_written_that_is_not_open_already(tmp_path: Path) -> None:
    with (tmp_path / "open").open("wb", buffering=0) as already_open:
        secluded(lambda: already_open.write(b"written"))
    for attempt in ((tmp_path / "open").unlink, (tmp_path / "new").touch, (tmp_path / "directory").mkdir):
        with pytest.raises(PermissionError):
            secluded(attempt)

    assert (tmp_path / "open").read_bytes() == b"written"
    assert secluded((tmp_path / "open").read_bytes) == b"written"
    assert os.listdir(tmp_path) == ["open"]


@needs_landlock
def test_links_can_be_made_where_it_is_said(tmp_path: Path) -> None:
    secluded(lambda: (tmp_path / "link").symlink_to("/etc/passwd"), writable=[str(tmp_path)])

    with pytest.raises(PermissionError):
        secluded((tmp_path / "file").touch, writable=[str(tmp_path)])
    assert os.listdir(tmp_path) == ["link"]


@needs_numbers
def test_nobody_can_be_reached() -> None:
    for family in (socket.AF_UNIX, socket.AF_INET):
        with pytest.raises(PermissionError):
            secluded(partial(socket.socket, family))


@needs_numbers
def test_no_room_can_be_taken_beyond_what_is_written(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    with (tmp_path / "file").open("wb") as file:
        taken = secluded(lambda: libc.fallocate(file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(1 << 20)))

    assert taken == -1
    assert (tmp_path / "file").stat().st_blocks == 0


@needs_landlock
def test_programs_that_are_started_there_have_given_up_the_same(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "file")]

    assert secluded(lambda: subprocess.run(touch, stderr=subprocess.DEVNULL, check=False)).returncode != 0
    assert not (tmp_path / "file").exists()


@needs_landlock
def test_others_have_given_up_nothing(tmp_path: Path) -> None:
    secluded(lambda: None)

    subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], check=True)
    (tmp_path / "file").touch()
    socket.socket(socket.AF_UNIX).close()
