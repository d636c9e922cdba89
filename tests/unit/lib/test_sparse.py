"""Holes are neither read nor written."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.errors import NoRoom
from astbtd.lib import sparse

MIB = 1 << 20


@pytest.fixture
def mostly_holes(tmp_path: Path) -> Iterator[int]:
    """A file of 64 MiB with data at the start and in the middle, and a hole at the end."""
    with (tmp_path / "sparse").open("w+b") as file:
        os.pwrite(file.fileno(), b"start", 0)
        os.pwrite(file.fileno(), b"middle", 32 * MIB)
        os.ftruncate(file.fileno(), 64 * MIB)
        yield file.fileno()


def test_extents_are_where_the_data_is(mostly_holes: int) -> None:
    extents = list(sparse.data_extents(mostly_holes))

    assert [start for start, _ in extents] == [0, 32 * MIB]
    assert sum(end - start for start, end in extents) < MIB


def test_a_file_without_holes_is_one_extent(memory_file: Callable[[bytes], int]) -> None:
    assert list(sparse.data_extents(memory_file(b"x" * 5000))) == [(0, 5000)]


def test_an_empty_file_has_no_extents(memory_file: Callable[[bytes], int]) -> None:
    assert list(sparse.data_extents(memory_file(b""))) == []


def test_a_sparse_file_occupies_less_than_its_size(mostly_holes: int) -> None:
    assert sparse.allocated_bytes(mostly_holes) < MIB


def test_a_small_file_occupies_no_more_than_its_size(memory_file: Callable[[bytes], int]) -> None:
    assert sparse.allocated_bytes(memory_file(b"12345")) == 5


def test_a_copy_has_the_same_content_and_the_same_holes(mostly_holes: int, tmp_path: Path) -> None:
    with (tmp_path / "copy").open("w+b") as target:
        sparse.copy(mostly_holes, target.fileno())

        assert sparse.allocated_bytes(target.fileno()) < MIB
        assert list(sparse.data_extents(target.fileno())) == list(sparse.data_extents(mostly_holes))
        assert os.fstat(target.fileno()).st_size == 64 * MIB
        assert os.pread(target.fileno(), 6, 32 * MIB) == b"middle"


@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=50)), max_size=5), st.integers(0, 50_000)
)
def test_a_copy_is_equal_for_any_content(pieces: list[tuple[int, bytes]], size: int) -> None:
    with os.fdopen(os.memfd_create("source"), "w+b") as source, os.fdopen(os.memfd_create("target"), "w+b") as target:
        for position, data in pieces:
            os.pwrite(source.fileno(), data, position)
        os.ftruncate(source.fileno(), size)

        sparse.copy(source.fileno(), target.fileno())

        assert os.pread(target.fileno(), 100_000, 0) == os.pread(source.fileno(), 100_000, 0)


def test_a_readable_copy_is_read_only_and_keeps_the_modification_time(mostly_holes: int, tmp_path: Path) -> None:
    os.utime(mostly_holes, (1000, 2000))
    reserved: list[int] = []
    heartbeats: list[None] = []

    copy = sparse.make_readable_copy(
        mostly_holes, tmp_path / "copy", -1, reserved.append, lambda: heartbeats.append(None)
    )

    assert (os.fstat(copy).st_mode & 0o777, os.fstat(copy).st_mtime) == (0o440, 2000)
    assert reserved == [sparse.allocated_bytes(mostly_holes)]
    assert heartbeats
    os.close(copy)


def test_a_readable_copy_needs_room(mostly_holes: int, tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise NoRoom("no room")

    with pytest.raises(NoRoom):
        sparse.make_readable_copy(mostly_holes, tmp_path / "copy", -1, refuse)

    assert not (tmp_path / "copy").exists()


def test_writing_a_block_skips_pages_of_zeros(tmp_path: Path) -> None:
    page = b"x" * 4096
    with (tmp_path / "file").open("w+b") as file:
        written = sparse.write_block(file.fileno(), page + bytes(4096) + page + bytes(100))
        file.truncate(3 * 4096 + 100)

        assert written == 2 * 4096
        assert (tmp_path / "file").read_bytes() == page + bytes(4096) + page + bytes(100)
