"""The memory of a running process: its mappings, which of their pages exist, and reading them.

Formats: proc_pid_maps(5) and proc_pid_pagemap(5). Pages are given by number, which is address / PAGE.
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
_ZERO_DEVICE = b"/dev/zero"  # private mappings of it are ordinary memory
_PRESENT, _SWAPPED, _FILE_OR_SHARED, _GUARD = 1 << 63, 1 << 62, 1 << 61, 1 << 58
_EXISTS = _PRESENT | _SWAPPED
_NOT_PRIVATE = _FILE_OR_SHARED | _GUARD  # a guard page looks as if it were swapped out
_PAGES_PER_READ = 1 << 16
_ENTRY_SIZE = 8  # bytes of /proc/PID/pagemap for each page


@dataclass(frozen=True)
class MemoryMapping:
    """One mapping: its addresses, permissions such as `rw-p`, offset in its file, and path (empty if it has none)."""

    start: int
    end: int
    permissions: str
    offset: int
    path: bytes

    @property
    def is_writable(self) -> bool:
        """Whether it is private memory that the process can write to."""
        return self.permissions.startswith("rw") and self.is_private

    @property
    def is_private(self) -> bool:
        """Whether it is readable private memory; shared mappings and devices are not touched."""
        if self.path.startswith(_NOT_MEMORY) and not self.path.startswith(_ZERO_DEVICE):
            return False
        return self.permissions.startswith("r") and self.permissions[3] == "p"

    @property
    def is_file(self) -> bool:
        """Whether it maps a file."""
        return self.path.startswith(b"/")

    @property
    def pages(self) -> range:
        """The numbers of its pages."""
        return range(self.start // PAGE, self.end // PAGE)


@dataclass(frozen=True)
class MemoryChunk:
    """Memory that was read from a process."""

    address: int
    content: memoryview | bytes

    @property
    def pages(self) -> range:
        """The numbers of the pages that it contains completely, if it starts at a page boundary."""
        return range(self.address // PAGE, (self.address + len(self.content)) // PAGE)


def parse_maps(maps: bytes) -> list[MemoryMapping]:
    """Return the mappings in the content of /proc/PID/maps."""
    return [
        MemoryMapping(int(start, 16), int(end, 16), permissions.decode(), int(offset, 16), path)
        for start, end, permissions, offset, _, path in _MAPPING.findall(maps)
    ]


def private_pages(pagemap: int, mapping: MemoryMapping) -> Iterator[int]:
    """Yield the pages of a mapping that are in memory or swapped out and not shared with a file."""
    for page, entry in _pagemap_entries(pagemap, mapping):
        if entry & _EXISTS and not entry & _NOT_PRIVATE:
            yield page


def resident_pages(pagemap: int, mapping: MemoryMapping) -> Iterator[int]:
    """Yield the pages of a mapping that are in memory, so that reading them does not wait for a disk."""
    return (page for page, entry in _pagemap_entries(pagemap, mapping) if entry & _PRESENT)


def page_ranges(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join ascending page numbers; yield (address, size in bytes) of each contiguous range."""
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
    """Read what is readable at `address` of /proc/PID/mem into `target`; return the number of bytes read."""
    with suppress(OSError):  # EIO: a guard page, or no longer mapped
        return os.preadv(memory, [target], address)
    return 0


def read(memory: int, address: int, size: int) -> bytes:
    """Return up to `size` bytes at `address` of /proc/PID/mem."""
    with suppress(OSError, OverflowError):
        return os.pread(memory, size, address)
    return b""


def _pagemap_entries(pagemap: int, mapping: MemoryMapping) -> Iterator[tuple[int, int]]:
    """Yield (page, its entry in /proc/PID/pagemap) for the pages of a mapping, without long ranges of unused ones."""
    pages = mapping.pages
    for first in range(pages.start, pages.stop, _PAGES_PER_READ):
        count = min(_PAGES_PER_READ, pages.stop - first)
        content = os.pread(pagemap, count * _ENTRY_SIZE, first * _ENTRY_SIZE)
        if content.count(0) < len(content):  # a process may map many gigabytes that it does not use
            yield from enumerate(array("Q", content), first)
