"""Only regular files are opened."""

import os
from pathlib import Path

import pytest

from astbtd.regular import open_regular


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


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")
