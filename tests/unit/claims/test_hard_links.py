"""A file is removed only if it is the claimed one, even if another file has its name or its inode by now."""

import os
from pathlib import Path

import pytest

from astbtd.claims.hard_links import ASIDE_SUFFIX, Vanished, link_core, remove_claimed_file, remove_link
from astbtd.elf.core_notes import file_identity

LINK = ".astbtd.crash"


@pytest.fixture
def core(tmp_path: Path) -> Path:
    path = tmp_path / "core"
    path.write_bytes(b"core")
    return path


def test_the_claimed_file_is_removed(core: Path) -> None:
    remove_claimed_file(str(core.parent), LINK, core.name, file_identity(core.stat()))

    assert os.listdir(core.parent) == []


def test_the_next_core_with_the_same_inode_is_not_removed(core: Path) -> None:
    before = core.stat()
    os.utime(core, ns=(0, before.st_mtime_ns + 1))

    remove_claimed_file(str(core.parent), LINK, core.name, file_identity(before))

    assert core.read_bytes() == b"core"


def test_an_interrupted_removal_is_completed(core: Path) -> None:
    file = file_identity(core.stat())
    core.rename(core.with_name(LINK + ASIDE_SUFFIX))
    core.write_bytes(b"the next")

    remove_claimed_file(str(core.parent), LINK, core.name, file)

    assert [path.read_bytes() for path in core.parent.iterdir()] == [b"the next"]


def test_a_missing_file_is_no_error(core: Path) -> None:
    file = file_identity(core.stat())
    core.unlink()

    remove_claimed_file(str(core.parent), LINK, core.name, file)


def test_a_link_that_was_left_by_a_released_claim_is_replaced(core: Path) -> None:
    (core.parent / LINK).write_bytes(b"the one before")

    with core.open("rb") as opened:
        link_core(opened.fileno(), str(core), str(core.parent), LINK, -1)

    assert (core.parent / LINK).samefile(core)


def test_a_core_in_a_directory_that_was_replaced_by_a_link_has_vanished(core: Path, tmp_path: Path) -> None:
    with core.open("rb") as opened:
        moved = core.parent.rename(tmp_path.with_name("moved"))
        tmp_path.symlink_to(moved)

        with pytest.raises(Vanished, match="a link leads to another"):
            link_core(opened.fileno(), str(core), str(core.parent), LINK, -1)


def test_the_next_core_that_appears_during_a_removal_gets_its_name_back(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = core.stat().st_ino
    rename = os.rename

    def rename_after_next_crash(name: str, aside: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        core.with_name("next").write_bytes(b"the next")
        rename(core.with_name("next"), core)
        rename(name, aside, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename_after_next_crash)

    remove_link(str(core.parent), LINK, core.name, claimed)

    assert [path.read_bytes() for path in core.parent.iterdir()] == [b"the next"]
    assert os.listdir(core.parent) == [core.name]
