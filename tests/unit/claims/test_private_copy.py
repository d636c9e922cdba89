"""Packed cores are unpacked completely and sparse; decompression bombs are refused."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.private_copy import NotUnpacked, PrivateCopies, Unpacker, unpacked_facts
from astbtd.elf.core_notes import read_facts
from astbtd.errors import Interrupted, NoRoom
from astbtd.lib import sparse
from astbtd.settings import UnpackingSettings
from tests.support.builders import NOON, DeadProcess
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
def test_a_core_is_unpacked_unchanged_and_sparse(form: str, target: int, memory_file: OpenFile) -> None:
    UNLIMITED.unpack(memory_file(FORMS[form](CORE)), target)

    assert os.pread(target, 1 << 30, 0) == CORE
    assert sparse.allocated_bytes(target) < 1 << 16


def test_zeros_at_the_end_are_kept(target: int, memory_file: OpenFile) -> None:
    UNLIMITED.unpack(memory_file(COMPRESS["zst"](b"x" + bytes(5 << 20))), target)

    assert os.fstat(target).st_size == (5 << 20) + 1


@pytest.mark.parametrize("form", FORMS)
def test_a_core_that_unpacks_to_more_than_the_limit_is_refused(form: str, target: int, memory_file: OpenFile) -> None:
    bomb = memory_file(FORMS[form](bytes(50 << 20)))

    with pytest.raises(NotUnpacked, match=r"more than 8\.0M"):
        limited(size=8 << 20).unpack(bomb, target)

    assert sparse.allocated_bytes(target) == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_core_that_exceeds_the_compression_ratio_is_refused(form: str, target: int, memory_file: OpenFile) -> None:
    bomb = memory_file(FORMS[form](b"A" * (80 << 20)))

    with pytest.raises(NotUnpacked, match="more than 5 times its size"):
        limited(ratio=5).unpack(bomb, target)


def test_the_disk_space_is_checked_before_and_while_unpacking(target: int, memory_file: OpenFile) -> None:
    requested: list[int] = []

    def reserve(needed: int) -> None:
        requested.append(needed)
        if len(requested) == 3:
            raise NoRoom("the disk is full")

    with pytest.raises(NoRoom):
        replace(UNLIMITED, reserve=reserve).unpack(memory_file(COMPRESS["lz4"](b"A" * (200 << 20))), target)

    assert os.fstat(target).st_size < 140 << 20


def test_a_truncated_core_is_unpacked_as_far_as_possible(target: int, memory_file: OpenFile) -> None:
    packed = COMPRESS["gz"](DeadProcess().core() + os.urandom(1 << 20))

    UNLIMITED.unpack(memory_file(packed[: len(packed) // 2] + b"\xff" * 100), target)

    assert os.pread(target, len(DeadProcess().core()), 0) == DeadProcess().core()


def test_a_core_that_is_damaged_at_the_start_is_refused(target: int, memory_file: OpenFile) -> None:
    with pytest.raises(NotUnpacked, match="it is damaged"):
        UNLIMITED.unpack(memory_file(b"\x1f\x8b\x08" + b"\xff" * 100), target)


def test_unpacking_can_be_stopped(target: int, memory_file: OpenFile) -> None:
    def raise_if_stopping() -> None:
        raise Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        replace(UNLIMITED, raise_if_stopping=raise_if_stopping).unpack(memory_file(COMPRESS["zst"](CORE)), target)


def test_a_file_that_is_not_packed_is_refused(target: int, memory_file: OpenFile) -> None:
    with pytest.raises(NotUnpacked, match="not packed in a known format"):
        UNLIMITED.unpack(memory_file(CORE), target)


def test_an_incomplete_copy_is_removed(tmp_path: Path, memory_file: OpenFile) -> None:
    copies = PrivateCopies(tmp_path, -1, UNLIMITED)

    with pytest.raises(NotUnpacked):
        copies.make(memory_file(CORE), "crash", packed=True)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_only_a_copy_that_must_survive_a_power_failure_waits_for_the_disk(
    tmp_path: Path, memory_file: OpenFile, monkeypatch: pytest.MonkeyPatch, *, packed: bool, durable: bool
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    copies = PrivateCopies(tmp_path, -1, UNLIMITED, durable=durable)

    copy = copies.make(memory_file(COMPRESS["zst"](CORE) if packed else CORE), "crash", packed=packed)

    assert flushed == ([copy] if durable else [])
    os.close(copy)


def test_a_packed_file_without_a_core_is_refused(memory_file: OpenFile) -> None:
    facts = read_facts(memory_file(CORE))

    with pytest.raises(NotUnpacked, match="it is damaged"):
        unpacked_facts(memory_file(b"not a core"), facts)


def test_the_facts_of_a_collector_are_kept_when_the_core_was_unpacked(memory_file: OpenFile) -> None:
    read = read_facts(memory_file(CORE))
    known = replace(read, crashed_at=NOON, process=replace(read.process, cwd="/srv", container=True), truncated=True)

    facts = unpacked_facts(memory_file(CORE), known)

    assert (facts.crashed_at, facts.process.cwd, facts.process.container) == (NOON, "/srv", True)
    assert facts.truncated == read.truncated
