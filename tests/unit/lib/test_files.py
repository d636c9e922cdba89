"""Files are there whole or not at all, with the modes that keep strangers out."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files

GROUP = 12345


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Makes the kernel refuse to write beyond `size`, as a full disk would."""
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


def test_replacing_a_file_leaves_nothing_but_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    files.replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["record"]


def test_who_reads_while_a_file_is_replaced_sees_all_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    with path.open("rb") as reader:
        files.replace(path, b"new")

        assert reader.read() == b"old"


def test_a_replacement_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    with files_no_larger_than(2), pytest.raises(OSError, match="File too large"):
        files.replace(path, b"new")

    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["record"]


def test_a_replacement_gets_past_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / ".record.new").write_bytes(b"ne")

    files.replace(tmp_path / "record", b"new")

    assert names_in(tmp_path) == ["record"]


def test_a_replacement_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.replace(tmp_path / "record", b"")
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "record") == 0o640


def test_a_new_file_is_never_one_that_is_there_already(tmp_path: Path) -> None:
    path = tmp_path / "record"
    files.write_new(path, b"first")

    with pytest.raises(FileExistsError):
        files.write_new(path, b"second")

    assert path.read_bytes() == b"first"


def test_a_new_file_does_not_follow_a_link_that_was_planted(tmp_path: Path) -> None:
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
def test_a_line_takes_the_place_of_a_torn_one(tmp_path: Path, whole: str) -> None:
    (tmp_path / "seen").write_text(f"{whole}tw")

    files.append_line(tmp_path / "seen", "three")

    assert (tmp_path / "seen").read_text() == f"{whole}three\n"


def test_appending_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "seen").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        files.append_line(tmp_path / "seen", "one")


def test_a_pointer_leads_to_the_new_target_in_one_step(tmp_path: Path) -> None:
    files.point(tmp_path / "latest", "crashes/a")
    files.point(tmp_path / "latest", "crashes/b")

    assert (tmp_path / "latest").readlink() == Path("crashes/b")
    assert names_in(tmp_path) == ["latest"]


def test_a_directory_that_exists_is_brought_to_its_mode(tmp_path: Path) -> None:
    loose = tmp_path / "store"
    loose.mkdir()
    loose.chmod(0o777)

    files.make_directory(loose)

    assert mode_of(loose) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_group_that_may_read_is_set_on_what_is_made(tmp_path: Path) -> None:
    directory = tmp_path / "store"

    files.make_directory(directory, group=GROUP)
    files.write_new(directory / "file", b"", group=GROUP)

    assert [path.stat().st_gid for path in (directory, directory / "file")] == [GROUP, GROUP]


def test_a_link_is_not_taken_for_a_directory_of_ours(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(0o755)
    (tmp_path / "store").symlink_to(tmp_path / "victim")

    with pytest.raises(NotADirectoryError):
        files.make_directory(tmp_path / "store")

    assert mode_of(tmp_path / "victim") == 0o755


def test_removing_a_tree_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    files.make_directory(tmp_path / "tree")
    files.write_new(tmp_path / "tree" / "file", b"")

    files.remove_tree(tmp_path / "tree")
    files.remove_tree(tmp_path / "tree")

    assert names_in(tmp_path) == []


def test_a_full_disk_is_said_plainly_and_with_what_helps() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(NoRoom) as caught, files.said_plainly("cannot write it"):
        files.write_all(full.fileno(), b"data")

    assert caught.value.message == "cannot write it: No space left on device"
    assert "free some space" in caught.value.remedy


def test_a_quota_is_a_full_disk_too() -> None:
    with pytest.raises(NoRoom), files.said_plainly("cannot write it"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_another_failure_is_said_plainly_and_is_no_lack_of_room(tmp_path: Path) -> None:
    with (
        pytest.raises(AstbtdError, match=r"cannot read it: No such file") as caught,
        files.said_plainly("cannot read it"),
    ):
        (tmp_path / "absent").read_bytes()

    assert not isinstance(caught.value, NoRoom)


def test_of_a_file_whose_permissions_cannot_be_set_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", refuse)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(OSError, match="Input/output error"):
        files.create(tmp_path / "file")

    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)
