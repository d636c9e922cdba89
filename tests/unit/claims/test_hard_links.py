"""What is removed is the file that is meant, whatever has its name, or its inode, by now."""

import os
from pathlib import Path

import pytest

from astbtd.claims.hard_links import ASIDE_SUFFIX, drop_file
from astbtd.elf.core_notes import file_identity

LINK = ".astbtd.crash"


@pytest.fixture
def core(tmp_path: Path) -> Path:
    path = tmp_path / "core"
    path.write_bytes(b"core")
    return path


def test_the_file_that_is_meant_is_removed(core: Path) -> None:
    drop_file(str(core.parent), LINK, core.name, file_identity(core.stat()))

    assert os.listdir(core.parent) == []


def test_the_next_core_is_left_though_it_has_the_inode_of_the_one_before(core: Path) -> None:
    before = core.stat()
    os.utime(core, ns=(0, before.st_mtime_ns + 1))

    drop_file(str(core.parent), LINK, core.name, file_identity(before))

    assert core.read_bytes() == b"core"


def test_a_removal_that_was_killed_is_finished(core: Path) -> None:
    file = file_identity(core.stat())
    core.rename(core.with_name(LINK + ASIDE_SUFFIX))
    core.write_bytes(b"the next")

    drop_file(str(core.parent), LINK, core.name, file)

    assert [path.read_bytes() for path in core.parent.iterdir()] == [b"the next"]


def test_a_name_that_is_gone_is_no_error(core: Path) -> None:
    file = file_identity(core.stat())
    core.unlink()

    drop_file(str(core.parent), LINK, core.name, file)
