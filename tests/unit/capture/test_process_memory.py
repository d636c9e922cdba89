"""Mappings and pages of a living process: this one's own."""

import mmap
import os
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.capture import process_memory
from astbtd.capture.process_memory import PAGE, Mapping

MAPS = b"""\
55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 131 /usr/sbin/asterisk
55d0c0a02000-55d0c0a03000 rw-p 00002000 fe:00 131 /usr/sbin/a b (deleted)
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000021000 rw-p 00000000 00:00 0
7f0000100000-7f0000101000 rw-s 00000000 00:05 77 /dev/shm/x
7f0000200000-7f0000201000 rw-p 00000000 00:05 78 /dev/dahdi
7ffd5a000000-7ffd5a004000 r--p 00000000 00:00 0 [vvar]
"""


@pytest.fixture
def pagemap() -> Iterator[int]:
    descriptor = os.open("/proc/self/pagemap", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_mappings_are_read_whatever_their_path() -> None:
    code, data, heap, *_ = process_memory.mappings(MAPS)

    assert code == Mapping(0x55D0C0A00000, 0x55D0C0A02000, "r--p", 0, b"/usr/sbin/asterisk")
    assert (data.offset, data.path) == (0x2000, b"/usr/sbin/a b (deleted)")
    assert (heap.path, heap.of_a_file) == (b"[heap]", False)


def test_what_is_shared_or_a_device_is_not_the_processs_own() -> None:
    writable = [mapping.start for mapping in process_memory.mappings(MAPS) if mapping.writable]

    assert writable == [0x55D0C0A02000, 0x55D0C1000000, 0x7F0000000000]
    assert not process_memory.mappings(MAPS)[-1].private


def test_only_pages_that_were_touched_are_there(pagemap: int) -> None:
    room = mmap.mmap(-1, 64 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room[3 * PAGE] = room[4 * PAGE] = room[9 * PAGE] = 1
    mapping = containing(room)

    first = address_of(room) // PAGE
    found = {page - first for page in process_memory.own_pages(pagemap, mapping)} & set(range(64))

    assert found == {3, 4, 9}
    assert {first + 3, first + 4, first + 9} <= set(process_memory.pages_at_hand(pagemap, mapping))


def test_pages_of_a_file_become_ones_own_when_they_are_written_to(pagemap: int) -> None:
    descriptor = os.memfd_create("file")
    os.write(descriptor, bytes(4 * PAGE))
    room = mmap.mmap(descriptor, 4 * PAGE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    room[2 * PAGE] = 1
    os.close(descriptor)

    first = address_of(room) // PAGE
    assert [page - first for page in process_memory.own_pages(pagemap, containing(room))] == [2]


@given(st.sets(st.integers(0, 300)))
def test_runs_are_the_pages_put_together(pages: set[int]) -> None:
    runs = list(process_memory.runs(sorted(pages)))

    assert {page for address, size in runs for page in range(address // PAGE, (address + size) // PAGE)} == pages
    assert all(one[0] + one[1] < other[0] for one, other in pairwise(runs))


def test_memory_that_cannot_be_read_is_left_out() -> None:
    descriptor = os.open("/proc/self/mem", os.O_RDONLY)

    assert process_memory.read(descriptor, 0, 10) == b""
    assert process_memory.read(descriptor, 2**64 - PAGE, 10) == b""
    assert process_memory.read_into(descriptor, 0, memoryview(bytearray(10))) == 0
    os.close(descriptor)


def address_of(room: mmap.mmap) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(room))


def containing(room: mmap.mmap) -> Mapping:
    """The mapping of this process that `room` lies in."""
    address = address_of(room)
    with open("/proc/self/maps", "rb") as maps:
        return next(one for one in process_memory.mappings(maps.read()) if one.start <= address < one.end)
