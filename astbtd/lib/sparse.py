"""Copy and measure sparse files without reading or writing their holes. Most of a core file is holes."""

import errno
import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from astbtd.lib import files

CHUNK = 1 << 20  # bytes

_PAGE = 4096
_ZERO_PAGE = bytes(_PAGE)


def data_extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each extent of a file that holds data; the whole file if holes are not supported."""
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


def allocated_bytes(descriptor: int) -> int:
    """Return the bytes that an open file occupies on disk; for a sparse file this is less than its size."""
    status = os.fstat(descriptor)
    return min(status.st_blocks * 512, status.st_size)


def copy(source: int, target: int, heartbeat: Callable[[], None] = lambda: None) -> None:
    """Copy an open file into another, empty one, preserving holes. `heartbeat` is called after each chunk."""
    for start, end in data_extents(source):
        os.lseek(target, start, os.SEEK_SET)
        for position in range(start, end, CHUNK):
            files.write_all(target, os.pread(source, min(CHUNK, end - position), position))
            heartbeat()
    os.ftruncate(target, os.fstat(source).st_size)


def write_block(target: int, block: bytes) -> int:
    """Write `block` at the current offset, skipping pages of zeros, and return the number of bytes written.

    If the file ends with skipped pages, the caller must extend it with ftruncate.
    """
    pages = (block[start : start + _PAGE] for start in range(0, len(block), _PAGE))
    written = 0
    for is_zero, run in groupby(pages, key=lambda page: page == _ZERO_PAGE[: len(page)]):
        data = b"".join(run)
        if is_zero:
            os.lseek(target, len(data), os.SEEK_CUR)
        else:
            files.write_all(target, data)
            written += len(data)
    return written


def make_readable_copy(
    source: int,
    path: Path,
    group: int,
    check_reserve: Callable[[int], None],
    heartbeat: Callable[[], None] = lambda: None,
) -> int:
    """Copy an open file to the new file `path`, readable by `group` and writable by nobody; return its descriptor.

    The modification time is preserved. `check_reserve` must raise if there is no room for the given number of bytes;
    `heartbeat` is called after each chunk.
    """
    check_reserve(allocated_bytes(source))
    descriptor = files.create(path, files.GROUP_READS, group)
    try:
        copy(source, descriptor, heartbeat)
        modified = os.fstat(source).st_mtime_ns
        os.utime(descriptor, ns=(modified, modified))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
