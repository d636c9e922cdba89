"""The memory of a living process: what is mapped, which pages are there, and reading them.

Formats: proc_pid_maps(5) and proc_pid_pagemap(5).
"""

import os
import re
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")

_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+) *([^\n]*)\n")
_NOT_MEMORY = (b"[vvar", b"[vsyscall]", b"/dev/")
_PRESENT, _SWAPPED, _OF_A_FILE, _GUARD = 1 << 63, 1 << 62, 1 << 61, 1 << 58
_OWN = _PRESENT | _SWAPPED
_NOT_OWN = _OF_A_FILE | _GUARD  # a guard page looks as if it were swapped out
_PAGES_AT_ONCE = 1 << 16
_ENTRY = 8  # bytes of /proc/PID/pagemap a page


@dataclass(frozen=True)
class Mapping:
    """One mapping: addresses, permissions as `rw-p`, where in its file (`path`, empty for none) it begins."""

    start: int
    end: int
    permissions: str
    offset: int
    path: bytes

    @property
    def writable(self) -> bool:
        return self.permissions.startswith("rw") and self.private

    @property
    def private(self) -> bool:
        """Whether it is memory of the process's own; what is shared or a device is left alone."""
        memory = not self.path.startswith(_NOT_MEMORY) or self.path.startswith(b"/dev/zero")
        return self.permissions.startswith("r") and self.permissions[3] == "p" and memory

    @property
    def of_a_file(self) -> bool:
        return self.path.startswith(b"/")

    @property
    def pages(self) -> range:
        """The numbers of its pages: address / PAGE."""
        return range(self.start // PAGE, self.end // PAGE)


@dataclass(frozen=True)
class MemoryChunk:
    """Memory that was read."""

    address: int
    content: memoryview | bytes

    @property
    def pages(self) -> range:
        """The numbers of the pages that it has all of; it begins with a page."""
        return range(self.address // PAGE, (self.address + len(self.content)) // PAGE)


def mappings(maps: bytes) -> list[Mapping]:
    """The mappings that the text of /proc/PID/maps describes."""
    return [
        Mapping(int(start, 16), int(end, 16), permissions.decode(), int(offset, 16), path)
        for start, end, permissions, offset, _, path in _MAPPING.findall(maps)
    ]


def own_pages(pagemap: int, mapping: Mapping) -> Iterator[int]:
    """The pages of a mapping that are in memory or swapped out, and no file's: by number, address / PAGE."""
    return (page for page, entry in _entries(pagemap, mapping) if entry & _OWN and not entry & _NOT_OWN)


def pages_at_hand(pagemap: int, mapping: Mapping) -> Iterator[int]:
    """The pages of a mapping that are in memory: reading them waits for no disk."""
    return (page for page, entry in _entries(pagemap, mapping) if entry & _PRESENT)


def runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(address, size) of each stretch of rising page numbers."""
    start = end = 0
    for page in pages:
        if page != end:
            if end > start:
                yield start * PAGE, (end - start) * PAGE
            start = page
        end = page + 1
    if end > start:
        yield start * PAGE, (end - start) * PAGE


def read_into(memory: int, address: int, target: memoryview) -> int:
    """Reads as much as can be read at `address` of /proc/PID/mem into `target`; returns the bytes read."""
    with suppress(OSError):  # EIO: a guard page, or no longer mapped
        return os.preadv(memory, [target], address)
    return 0


def read(memory: int, address: int, size: int) -> bytes:
    """Up to `size` bytes at `address` of /proc/PID/mem."""
    with suppress(OSError, OverflowError):
        return os.pread(memory, size, address)
    return b""


def _entries(pagemap: int, mapping: Mapping) -> Iterator[tuple[int, int]]:
    for first in range(mapping.start // PAGE, mapping.end // PAGE, _PAGES_AT_ONCE):
        count = min(_PAGES_AT_ONCE, mapping.end // PAGE - first)
        entries = array("Q", os.pread(pagemap, count * _ENTRY, first * _ENTRY))
        yield from enumerate(entries, first)
