"""Packed cores come out whole and sparse, and what is packed to do harm does not come out at all."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.unpack import NotUnpacked, Unpacker
from astbtd.errors import Interrupted, NoRoom
from astbtd.lib import sparse
from astbtd.settings import UnpackingSettings
from tests.support.builders import DeadProcess
from tests.support.fixture_types import OpenFile
from tests.support.packed import COMPRESS, report

CORE = DeadProcess().core() + bytes(10 << 20) + b"the last page"
FORMS = {**COMPRESS, "crash": report}
UNLIMITED = Unpacker(UnpackingSettings(), lambda _: None, lambda: None)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    """An empty file."""
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def limited(**limits: int) -> Unpacker:
    return replace(UNLIMITED, limits=UnpackingSettings(**limits))


@pytest.mark.parametrize("form", FORMS)
def test_a_core_comes_out_as_it_went_in_and_its_zeros_take_no_room(
    form: str, target: int, memory_file: OpenFile
) -> None:
    UNLIMITED.unpack(memory_file(FORMS[form](CORE)), target)

    assert os.pread(target, 1 << 30, 0) == CORE
    assert sparse.allocated(target) < 1 << 16


def test_zeros_at_the_end_are_not_lost(target: int, memory_file: OpenFile) -> None:
    UNLIMITED.unpack(memory_file(COMPRESS["zst"](b"x" + bytes(5 << 20))), target)

    assert os.fstat(target).st_size == (5 << 20) + 1


@pytest.mark.parametrize("form", FORMS)
def test_what_unpacks_to_more_than_it_may_is_refused(form: str, target: int, memory_file: OpenFile) -> None:
    bomb = memory_file(FORMS[form](bytes(50 << 20)))

    with pytest.raises(NotUnpacked, match=r"more than 8\.0M"):
        limited(size=8 << 20).unpack(bomb, target)

    assert sparse.allocated(target) == 0


@pytest.mark.parametrize("form", FORMS)
def test_what_unpacks_to_too_many_times_its_size_is_refused(form: str, target: int, memory_file: OpenFile) -> None:
    bomb = memory_file(FORMS[form](b"A" * (80 << 20)))

    with pytest.raises(NotUnpacked, match="more than 5 times its size"):
        limited(ratio=5).unpack(bomb, target)


def test_the_disk_is_looked_at_before_and_while_it_fills(target: int, memory_file: OpenFile) -> None:
    asked: list[int] = []

    def reserve(needed: int) -> None:
        asked.append(needed)
        if len(asked) == 3:
            raise NoRoom("the disk is full")

    with pytest.raises(NoRoom):
        replace(UNLIMITED, reserve=reserve).unpack(memory_file(COMPRESS["lz4"](b"A" * (200 << 20))), target)

    assert os.fstat(target).st_size < 140 << 20


def test_a_core_whose_end_is_missing_comes_out_as_far_as_it_is_there(target: int, memory_file: OpenFile) -> None:
    packed = COMPRESS["gz"](DeadProcess().core() + os.urandom(1 << 20))

    UNLIMITED.unpack(memory_file(packed[: len(packed) // 2] + b"\xff" * 100), target)

    assert os.pread(target, len(DeadProcess().core()), 0) == DeadProcess().core()


def test_what_is_damaged_from_the_start_is_refused(target: int, memory_file: OpenFile) -> None:
    with pytest.raises(NotUnpacked, match="it is damaged"):
        UNLIMITED.unpack(memory_file(b"\x1f\x8b\x08" + b"\xff" * 100), target)


def test_unpacking_can_be_stopped(target: int, memory_file: OpenFile) -> None:
    def stopped() -> None:
        raise Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        replace(UNLIMITED, stopped=stopped).unpack(memory_file(COMPRESS["zst"](CORE)), target)
