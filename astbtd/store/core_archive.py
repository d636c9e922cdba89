"""Streams cores into the store, compressed, and out of it again; holes are neither read nor written."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import zstandard

from astbtd.errors import AstbtdError
from astbtd.lib import files, sparse
from astbtd.lib.threads import in_own_thread

_LEVEL = 3
_LONGEST_HEADER = 18  # bytes of a zstd frame that tell the size of its content
_PIECE = 1 << 17  # bytes of a core between two moments at which others may have the processor
_ZEROS = memoryview(bytes(_PIECE))

Progress = Callable[[int], None]
"""Is told how many bytes of the core are done; may raise to stop."""


def keep(core: int, target: Path, progress: Progress) -> int:
    """Compresses the core open at `core` into the new file `target`; returns the bytes it takes there.

    It takes only what processor time nobody else wants: it is the longest work on a core, and nobody waits for it.
    """
    return in_own_thread("keeping", partial(_keep_idly, core, target, progress))


def _keep_idly(core: int, target: Path, progress: Progress) -> int:
    with suppress(OSError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # this thread alone, which could not get back
    temporary = files.unfinished(target)
    temporary.unlink(missing_ok=True)
    descriptor = files.create(temporary, files.PRIVATE_FILE_MODE)
    try:
        _compress(core, descriptor, progress)
        os.fsync(descriptor)
        size = os.fstat(descriptor).st_size
        temporary.rename(target)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
    files.sync_directory(target.parent)
    return size


def write_out(kept: Path, target: int, progress: Progress) -> int:
    """Decompresses a kept core into the descriptor `target`, sparse where that is a new file; returns its size.

    Raises AstbtdError if the kept core is damaged.
    """
    written = 0
    sparsely = _may_have_holes(target)
    for block in _decompressed(kept, progress):
        if sparsely:
            sparse.write(target, block)
        else:
            files.write_all(target, block)
        written += len(block)
    if sparsely:
        os.ftruncate(target, written)
    return written


def verify(kept: Path, progress: Progress) -> None:
    """Reads a kept core to its end. Raises AstbtdError if it is damaged."""
    for _ in _decompressed(kept, progress):
        pass


def _decompressed(kept: Path, progress: Progress) -> Iterator[bytes]:
    done = 0
    try:
        with kept.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            promised = zstandard.frame_content_size(os.pread(file.fileno(), _LONGEST_HEADER, 0))
            while block := reader.read(sparse.CHUNK):
                yield block
                done += len(block)
                progress(done)
    except zstandard.ZstdError as error:
        raise AstbtdError(f"{kept} is damaged: {error}") from error
    if done != promised:
        raise AstbtdError(f"{kept} is damaged: it ends after {done} of {promised} bytes")


def _compress(core: int, target: int, progress: Progress) -> None:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with open(target, "wb", closefd=False) as file:
        done, size = 0, os.fstat(core).st_size
        writer = compressor.stream_writer(file, size=size, closefd=False)
        for block in _blocks(core, size):
            writer.write(block)
            done += len(block)
            progress(done)
        writer.flush(zstandard.FLUSH_FRAME)  # in place of `with`, which hides why it was left early


def _blocks(core: int, size: int) -> Iterator[memoryview]:
    """The core's content; what is a hole, or was cut off while we read, comes as zeros.

    All blocks have the same memory, one after another: a new one each time would cost the kernel more than reading.
    """
    block, position = memoryview(bytearray(_PIECE)), 0
    for start, end in [*sparse.data_extents(core), (size, size)]:
        for hole in range(position, start, _PIECE):
            yield _ZEROS[: start - hole]
        for position in range(start, end, _PIECE):
            wanted = block[: end - position]
            done = os.preadv(core, [wanted], position)
            wanted[done:] = _ZEROS[: len(wanted) - done]
            yield wanted
        position = end


def _may_have_holes(descriptor: int) -> bool:
    """Whether what is written goes into an empty file, where skipping is as good as writing zeros."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and os.lseek(descriptor, 0, os.SEEK_CUR) == 0
