"""Files are complete or absent, have restrictive modes, and only regular files are opened."""

import errno
import fcntl
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files

GROUP = 12345


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make the kernel refuse to write beyond `size`, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names_in(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_replacing_a_file_leaves_only_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    files.replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["record"]


def test_a_reader_sees_the_complete_old_content_during_a_replacement(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    with path.open("rb") as reader:
        files.replace(path, b"new")

        assert reader.read() == b"old"


def test_a_failed_replacement_leaves_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    with file_size_limit(2), pytest.raises(OSError, match="File too large"):
        files.replace(path, b"new")

    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["record"]


def test_a_temporary_file_left_by_a_kill_does_not_prevent_a_replacement(tmp_path: Path) -> None:
    (tmp_path / ".record.new").write_bytes(b"ne")

    files.replace(tmp_path / "record", b"new")

    assert names_in(tmp_path) == ["record"]


def test_a_replacement_has_the_requested_mode_regardless_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.replace(tmp_path / "record", b"")
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "record") == 0o640


def test_creating_an_existing_file_fails_and_leaves_it_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "record"
    files.write_new(path, b"first")

    with pytest.raises(FileExistsError):
        files.write_new(path, b"second")

    assert path.read_bytes() == b"first"


def test_creating_a_file_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "record").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        files.create(tmp_path / "record")

    assert not (tmp_path / "elsewhere").exists()


def test_lines_are_appended(tmp_path: Path) -> None:
    files.append_line(tmp_path / "seen", "one")
    files.append_line(tmp_path / "seen", "two")

    assert (tmp_path / "seen").read_text() == "one\ntwo\n"
    assert mode_of(tmp_path / "seen") == 0o600


@pytest.mark.parametrize("whole", ["", "one\n"])
def test_an_incomplete_last_line_is_replaced(tmp_path: Path, whole: str) -> None:
    (tmp_path / "seen").write_text(f"{whole}tw")

    files.append_line(tmp_path / "seen", "three")

    assert (tmp_path / "seen").read_text() == f"{whole}three\n"


def test_appending_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "seen").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        files.append_line(tmp_path / "seen", "one")


def test_a_symlink_is_replaced(tmp_path: Path) -> None:
    files.replace_symlink(tmp_path / "latest", "crashes/a")
    files.replace_symlink(tmp_path / "latest", "crashes/b")

    assert (tmp_path / "latest").readlink() == Path("crashes/b")
    assert names_in(tmp_path) == ["latest"]


def test_an_existing_directory_is_changed_to_the_requested_mode(tmp_path: Path) -> None:
    loose = tmp_path / "store"
    loose.mkdir()
    loose.chmod(0o777)

    files.make_directory(loose)

    assert mode_of(loose) == 0o750


@pytest.mark.root
def test_the_group_is_set_on_new_files_and_directories(tmp_path: Path) -> None:
    directory = tmp_path / "store"

    files.make_directory(directory, group=GROUP)
    files.write_new(directory / "file", b"", group=GROUP)

    assert [path.stat().st_gid for path in (directory, directory / "file")] == [GROUP, GROUP]


def test_a_link_is_not_accepted_as_a_directory(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(0o755)
    (tmp_path / "store").symlink_to(tmp_path / "victim")

    with pytest.raises(NotADirectoryError):
        files.make_directory(tmp_path / "store")

    assert mode_of(tmp_path / "victim") == 0o755


def test_removing_a_missing_tree_is_not_an_error(tmp_path: Path) -> None:
    files.make_directory(tmp_path / "tree")
    files.write_new(tmp_path / "tree" / "file", b"")

    files.remove_tree(tmp_path / "tree")
    files.remove_tree(tmp_path / "tree")

    assert names_in(tmp_path) == []


def test_a_full_disk_becomes_no_room_with_a_remedy() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(NoRoom) as caught, files.wrap_os_error("cannot write it"):
        files.write_all(full.fileno(), b"data")

    assert caught.value.message == "cannot write it: No space left on device"
    assert "free some disk space" in caught.value.remedy


def test_an_exceeded_quota_becomes_no_room() -> None:
    with pytest.raises(NoRoom), files.wrap_os_error("cannot write it"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_another_os_error_becomes_an_astbtd_error_but_not_no_room(tmp_path: Path) -> None:
    with (
        pytest.raises(AstbtdError, match=r"cannot read it: No such file") as caught,
        files.wrap_os_error("cannot read it"),
    ):
        (tmp_path / "absent").read_bytes()

    assert not isinstance(caught.value, NoRoom)


def test_a_file_whose_mode_cannot_be_set_is_removed_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", refuse)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(OSError, match="Input/output error"):
        files.create(tmp_path / "file")

    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_regular_file_is_opened_for_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")

    for name in ("file", "link"):
        descriptor = files.open_regular(tmp_path / name)
        assert os.read(descriptor, 10) == b"text"
        os.close(descriptor)


def test_directories_fifos_and_devices_are_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")

    for path in (tmp_path, tmp_path / "fifo", tmp_path / "device"):
        with pytest.raises(OSError, match="not a regular file"):
            files.open_regular(path)


def test_a_link_is_refused_without_follow(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")

    os.close(files.open_regular(tmp_path / "file", follow=False))
    with pytest.raises(OSError, match="not a regular file"):
        files.open_regular(tmp_path / "link", follow=False)


def test_opening_a_leased_file_fails_instead_of_blocking(tmp_path: Path) -> None:
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with (tmp_path / "file").open("w") as leased:
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)

        with pytest.raises(BlockingIOError):
            files.open_regular(tmp_path / "file")


def test_opening_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.open_regular(tmp_path / "absent")


def test_a_text_is_read_in_pieces_and_a_missing_one_has_none(tmp_path: Path) -> None:
    text = "an ä and a line\n" * 10_000
    (tmp_path / "backtrace.txt").write_text(text)

    pieces = list(files.text_pieces(tmp_path / "backtrace.txt"))

    assert "".join(pieces) == text
    assert len(pieces) > 1
    assert list(files.text_pieces(tmp_path / "missing")) == []
