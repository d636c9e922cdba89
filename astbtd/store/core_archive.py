"""Streams cores and objects into the store, compressed, and out of it again. Holes are neither read nor written."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from astbtd.errors import AstbtdError
from astbtd.lib import files, sparse
from astbtd.lib.threads import run_at_idle_priority

_LEVEL = 3
_LONGEST_HEADER = 18  # bytes at the start of a zstd frame that hold the size of its content
_BLOCK_HEADER = 3  # bytes before each block of a frame, with the size of the block
_RUN_OF_ONE_BYTE = 1  # the type of a block that has one byte, however large its content is
_CHECKSUM = 4  # bytes at the end of a frame
_BLOCK = 1 << 17  # bytes of a core; between two blocks, other threads can run
_ZEROS = memoryview(bytes(_BLOCK))


class DamagedCore(AstbtdError):
    """A kept core cannot be decompressed, or is not complete."""


Progress = Callable[[int], None]
"""Called with the number of bytes of the core that are done. May raise to stop."""


def compress_core(core: int, target: Path, progress: Progress) -> int:
    """Compress the core in the descriptor `core` into the new file `target`. Return the compressed size in bytes.

    This runs at idle priority: it is the longest work on a core, and nothing waits for it.
    """
    return compress_file(core, target, progress)


def compress_file(
    source: int,
    target: Path,
    progress: Progress,
    group: int | None = None,
    check_size: Callable[[int], None] = lambda _: None,
) -> int:
    """Do the same with any open file. Its owner alone can read it, or also the `group` if one is given.

    `check_size` is called with the compressed size before the file gets its name, and may raise to discard it.
    """
    temporary = files.temporary_path(target)
    try:
        size = run_at_idle_priority("keeping", partial(_compress_into, source, temporary, progress, group))
        check_size(size)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    files.sync_directory(target.parent)
    return size


def _compress_into(source: int, target: Path, progress: Progress, group: int | None) -> int:
    target.unlink(missing_ok=True)
    if group is None:
        descriptor = files.create(target, files.PRIVATE_FILE_MODE)
    else:
        descriptor = files.create(target, files.FILE_MODE, group)
    try:
        _compress(source, descriptor, progress)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def decompress_core(kept: Path, target: int, progress: Progress) -> int:
    """Decompress a kept core into the descriptor `target`. Return its size in bytes.

    The output is sparse if `target` is an empty regular file. Raise DamagedCore if it is damaged.
    """
    written = 0
    sparsely = _may_have_holes(target)
    for block in _decompressed(kept, progress):
        if sparsely:
            sparse.write_block(target, block)
        else:
            files.write_all(target, block)
        written += len(block)
    if sparsely:
        os.ftruncate(target, written)
    return written


def verify_core(kept: Path, progress: Progress, *, whole: bool = True) -> None:
    """Read a kept core to its end, or only its beginning. Raise DamagedCore if it is damaged."""
    for _ in _decompressed(kept, progress):
        if not whole:
            return


def _decompressed(kept: Path, progress: Progress) -> Iterator[bytes]:
    done = 0
    try:
        with kept.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            expected = zstandard.frame_content_size(os.pread(file.fileno(), _LONGEST_HEADER, 0))
            while block := reader.read(sparse.CHUNK):
                yield block
                done += len(block)
                progress(done)
            is_complete = _frame_end(file.fileno()) == os.fstat(file.fileno()).st_size
    except zstandard.ZstdError as error:
        raise DamagedCore(f"{kept} is damaged: {error}") from error
    if done != expected:
        raise DamagedCore(f"{kept} is damaged: it ends after {done} of {expected} bytes")
    if not is_complete:
        raise DamagedCore(f"{kept} is damaged: it does not end with the checksum of its content")


def _frame_end(descriptor: int) -> int:
    """Return the offset at which the zstd frame at the start of a file ends according to its headers (RFC 8878, 3.1.1).

    The decompressor does not say whether it has seen the checksum: it ends in the same way without it.
    """
    start = os.pread(descriptor, _LONGEST_HEADER, 0)
    position = zstandard.frame_header_size(start)
    is_last = False
    while not is_last:
        header = int.from_bytes(os.pread(descriptor, _BLOCK_HEADER, position), "little")
        is_last, kind, size = bool(header & 1) or header == 0, header >> 1 & 3, header >> 3
        position += _BLOCK_HEADER + (1 if kind == _RUN_OF_ONE_BYTE else size)
    return position + (_CHECKSUM if zstandard.get_frame_parameters(start).has_checksum else 0)


@contextmanager
def opened_core(kept: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a kept core, decompressed while it is read, and its size in bytes. Raise DamagedCore if it is damaged."""
    try:
        with kept.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            size = zstandard.frame_content_size(os.pread(file.fileno(), _LONGEST_HEADER, 0))
            yield cast(BinaryIO, reader), size
    except zstandard.ZstdError as error:
        raise DamagedCore(f"{kept} is damaged: {error}") from error


def _compress(core: int, target: int, progress: Progress) -> None:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with open(target, "wb", closefd=False) as file:
        done, size = 0, os.fstat(core).st_size
        writer = compressor.stream_writer(file, size=size, closefd=False)
        for block in _blocks(core, size):
            writer.write(block)
            done += len(block)
            progress(done)
        # Not `with writer`: after an exception, closing it would raise another one that hides the first.
        writer.flush(zstandard.FLUSH_FRAME)


def _blocks(core: int, size: int) -> Iterator[memoryview]:
    """Yield the content of the core. Holes, and what was truncated meanwhile, are zeros.

    All blocks use the same memory: a new buffer for each would cost the kernel more than reading.
    """
    buffer = memoryview(bytearray(_BLOCK))
    position = 0
    for start, end in [*sparse.data_extents(core), (size, size)]:
        for hole in range(position, start, _BLOCK):
            yield _ZEROS[: start - hole]
        for offset in range(start, end, _BLOCK):
            block = buffer[: end - offset]
            done = os.preadv(core, [block], offset)
            block[done:] = _ZEROS[: len(block) - done]
            yield block
        position = end


def _may_have_holes(descriptor: int) -> bool:
    """Return True for an empty regular file, where skipping a range is the same as writing zeros."""
    status = os.fstat(descriptor)
    is_empty_file = stat.S_ISREG(status.st_mode) and status.st_size == 0
    return is_empty_file and os.lseek(descriptor, 0, os.SEEK_CUR) == 0
