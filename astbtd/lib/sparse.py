"""Copies and measures files without reading or writing their holes; a core is mostly holes."""

import errno
import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from astbtd.lib import files

CHUNK = 1 << 20  # bytes

_PAGE = 4096
_BLANK = bytes(_PAGE)


def data_extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch of a file that holds data; all of it where holes cannot be asked for."""
    position, size = 0, os.fstat(descriptor).st_size
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            start = position
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, position


def allocated(descriptor: int) -> int:
    """The bytes an open file takes on its disk, which for a sparse one is less than its size."""
    status = os.fstat(descriptor)
    return min(status.st_blocks * 512, status.st_size)


def copy(source: int, target: int, alive: Callable[[], None] = lambda: None) -> None:
    """Copies one open file into another, empty one, holes staying holes; calls `alive` after each chunk."""
    for start, end in data_extents(source):
        os.lseek(target, start, os.SEEK_SET)
        for position in range(start, end, CHUNK):
            files.write_all(target, os.pread(source, min(CHUNK, end - position), position))
            alive()
    os.ftruncate(target, os.fstat(source).st_size)


def write(target: int, block: bytes) -> int:
    """Writes `block` where the descriptor stands and skips its pages of zeros; returns how many bytes were written.

    What is skipped at the end has to be added by ftruncate.
    """
    pages = (block[start : start + _PAGE] for start in range(0, len(block), _PAGE))
    written = 0
    for blank, stretch in groupby(pages, key=lambda page: page == _BLANK[: len(page)]):
        data = b"".join(stretch)
        if blank:
            os.lseek(target, len(data), os.SEEK_CUR)
        else:
            files.write_all(target, data)
            written += len(data)
    return written


def readable_copy(
    source: int, path: Path, group: int, reserve: Callable[[int], None], alive: Callable[[], None] = lambda: None
) -> int:
    """Copies an open file to the new file `path`, which `group` can read and nobody write; returns its descriptor.

    It keeps the time of its last change. `reserve` raises where so many bytes more are not to be had; `alive` is called
    after each chunk.
    """
    reserve(allocated(source))
    descriptor = files.create(path, files.GROUP_READS, group)
    try:
        copy(source, descriptor, alive)
        changed = os.fstat(source).st_mtime_ns
        os.utime(descriptor, ns=(changed, changed))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
