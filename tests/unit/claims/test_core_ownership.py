"""Whose a core is, and whether the kernel can have dumped it where it lies."""

import os
from pathlib import Path

import pytest

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims import core_ownership
from astbtd.claims.core_filter import Candidate, CoreFilter
from astbtd.model.crash import Process
from tests.support.builders import DeadProcess

PBX, OTHER = 65534, 4321
IDENTITY = PbxIdentity(frozenset((0, PBX)))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="creates files of other users")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A directory of the PBX's user."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o755)
    os.chown(directory, PBX, PBX)
    return directory


def dump(directory: Path, uid: int, owner: int) -> Path:
    core = directory / "core"
    core.write_bytes(DeadProcess(uid=uid).core())
    os.chown(core, owner, owner)
    return core


def was_dumped_here(core: Path, uid: int) -> bool:
    return core_ownership.was_dumped_here(str(core.parent), core.stat(), Process(uid=uid, gid=uid))


@pytest.mark.parametrize(
    ("uid", "owner", "expected"),
    [(PBX, PBX, True), (PBX, 0, True), (0, 0, True), (0, PBX, False), (PBX, OTHER, False), (OTHER, OTHER, False)],
)
def test_a_core_was_dumped_here_if_owner_process_and_directory_fit(
    spool: Path, uid: int, owner: int, expected: bool
) -> None:
    assert was_dumped_here(dump(spool, uid, owner), uid) is expected


@pytest.mark.parametrize(("mode", "group", "expected"), [(0o1777, 0, True), (0o775, PBX, True), (0o775, 0, False)])
def test_a_directory_of_root_must_be_writable_for_the_process(
    tmp_path: Path, mode: int, group: int, expected: bool
) -> None:
    os.chown(tmp_path, 0, group)
    tmp_path.chmod(mode)

    assert was_dumped_here(dump(tmp_path, PBX, PBX), PBX) is expected


def test_a_core_without_a_user_is_not_moved(spool: Path) -> None:
    core = dump(spool, PBX, PBX)

    assert not core_ownership.was_dumped_here(str(spool), core.stat(), Process())


@pytest.mark.parametrize(("uid", "owner", "is_foreign"), [(PBX, PBX, False), (OTHER, OTHER, True), (0, OTHER, True)])
def test_the_owner_of_the_file_counts_as_well_as_the_notes(spool: Path, uid: int, owner: int, is_foreign: bool) -> None:
    dump(spool, uid, owner)
    candidate = CoreFilter(("asterisk",)).examine(str(spool), "core")
    assert isinstance(candidate, Candidate)

    ownership = core_ownership.judge(candidate, IDENTITY)
    os.close(candidate.descriptor)

    assert ownership.is_foreign is is_foreign


def test_a_huge_core_of_a_foreign_program_is_not_collected() -> None:
    assert core_ownership.reason_to_refuse(core_ownership.MAX_FOREIGN_BYTES) is None
    assert "larger than" in str(core_ownership.reason_to_refuse(core_ownership.MAX_FOREIGN_BYTES + 1))
