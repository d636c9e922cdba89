"""Only regular files are opened."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from astbtd.lib.safe_open import open_regular


def test_a_regular_file_is_opened_for_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")

    for name in ("file", "link"):
        descriptor = open_regular(tmp_path / name)
        assert os.read(descriptor, 10) == b"text"
        os.close(descriptor)


def test_nothing_else_is_opened_or_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")

    for path in (tmp_path, tmp_path / "fifo", tmp_path / "device"):
        with pytest.raises(OSError, match="it is no regular file"):
            open_regular(path)


def test_a_link_is_not_followed_where_that_is_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")

    os.close(open_regular(tmp_path / "file", follow=False))
    with pytest.raises(OSError, match="it is no regular file"):
        open_regular(tmp_path / "link", follow=False)


def test_a_file_on_which_somebody_has_a_lease_is_not_waited_for(tmp_path: Path) -> None:
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with (tmp_path / "file").open("w") as held:
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)

        with pytest.raises(BlockingIOError):
            open_regular(tmp_path / "file")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")
