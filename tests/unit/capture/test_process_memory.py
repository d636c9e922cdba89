"""Mappings and pages of a running process: the test process itself."""

import mmap
import os
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.capture import process_memory
from astbtd.capture.process_memory import PAGE, MemoryMapping

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


def test_mappings_are_parsed_with_any_path() -> None:
    code, data, heap, *_ = process_memory.parse_maps(MAPS)

    assert code == MemoryMapping(0x55D0C0A00000, 0x55D0C0A02000, "r--p", 0, b"/usr/sbin/asterisk")
    assert (data.offset, data.path) == (0x2000, b"/usr/sbin/a b (deleted)")
    assert (heap.path, heap.is_file) == (b"[heap]", False)


def test_shared_mappings_and_devices_are_not_private() -> None:
    writable = [mapping.start for mapping in process_memory.parse_maps(MAPS) if mapping.is_writable]

    assert writable == [0x55D0C0A02000, 0x55D0C1000000, 0x7F0000000000]
    assert not process_memory.parse_maps(MAPS)[-1].is_private


def test_only_touched_pages_are_private_and_resident(pagemap: int) -> None:
    buffer = mmap.mmap(-1, 64 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    buffer[3 * PAGE] = buffer[4 * PAGE] = buffer[9 * PAGE] = 1
    mapping = containing(buffer)

    first = address_of(buffer) // PAGE
    found = {page - first for page in process_memory.private_pages(pagemap, mapping)} & set(range(64))

    assert found == {3, 4, 9}
    assert {first + 3, first + 4, first + 9} <= set(process_memory.resident_pages(pagemap, mapping))


def test_pages_of_a_file_are_private_once_they_are_written_to(pagemap: int) -> None:
    descriptor = os.memfd_create("file")
    os.write(descriptor, bytes(4 * PAGE))
    buffer = mmap.mmap(descriptor, 4 * PAGE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    buffer[2 * PAGE] = 1
    os.close(descriptor)

    first = address_of(buffer) // PAGE
    assert [page - first for page in process_memory.private_pages(pagemap, containing(buffer))] == [2]


@given(st.sets(st.integers(0, 300)))
def test_page_ranges_join_contiguous_pages(pages: set[int]) -> None:
    runs = list(process_memory.page_ranges(sorted(pages)))

    assert {page for address, size in runs for page in range(address // PAGE, (address + size) // PAGE)} == pages
    assert all(one[0] + one[1] < other[0] for one, other in pairwise(runs))


def test_unreadable_memory_is_empty() -> None:
    descriptor = os.open("/proc/self/mem", os.O_RDONLY)

    assert process_memory.read(descriptor, 0, 10) == b""
    assert process_memory.read(descriptor, 2**64 - PAGE, 10) == b""
    assert process_memory.read_into(descriptor, 0, memoryview(bytearray(10))) == 0
    os.close(descriptor)


def address_of(buffer: mmap.mmap) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def containing(buffer: mmap.mmap) -> MemoryMapping:
    """Return the mapping of this process that contains `buffer`."""
    address = address_of(buffer)
    with open("/proc/self/maps", "rb") as maps:
        return next(one for one in process_memory.parse_maps(maps.read()) if one.start <= address < one.end)
