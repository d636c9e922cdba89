"""Decompresses zstd, xz, lz4 and gzip streams block by block, within bounded memory.

The format is detected from the first bytes of the stream, not from a file name. Each library is imported when a stream
needs it: most commands never decompress anything.
"""

import os
from collections.abc import Callable, Iterator
from enum import Enum
from typing import BinaryIO, Protocol, cast

from astbtd.lib.sparse import CHUNK

ReadNext = Callable[[int], bytes]
"""Returns the next bytes of a stream, at most the given number; empty at the end."""

_MEMORY_LIMIT = 128 << 20  # bytes of a decoder's window; `xz -9` needs 65 MiB, `zstd -19` 8 MiB
_EXPECT_GZIP_HEADER = 16  # added to the window size (zlib.h, inflateInit2)


class DamagedStream(ValueError):
    """The stream is invalid, or needs more memory than the limit."""


class Compression(Enum):
    """The supported formats. The value is the magic number at the start of a stream."""

    ZSTD = b"\x28\xb5\x2f\xfd"
    XZ = b"\xfd7zXZ\0"
    LZ4 = b"\x04\x22\x4d\x18"
    GZIP = b"\x1f\x8b\x08"


class _Decoder(Protocol):
    """The interface that the decoders of lzma and lz4 share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def file_reader(descriptor: int, position: int = 0) -> ReadNext:
    """Return a function that reads an open file from `position` on. The file offset does not change."""

    def read(size: int) -> bytes:
        nonlocal position
        data = os.pread(descriptor, size, position)
        position += len(data)
        return data

    return read


def detect(start: bytes) -> Compression | None:
    """Return the compression of a stream that begins with these bytes; None if it is not compressed."""
    for compression in Compression:
        if start.startswith(compression.value):
            return compression
    return None


def decompress(compression: Compression, read: ReadNext) -> Iterator[bytes]:
    """Yield the content of a stream in blocks of at most `CHUNK` bytes.

    A stream that is cut short yields what can be decompressed. Raise DamagedStream if it is invalid.
    """
    yield from _DECODERS[compression](read)


def _zstd(read: ReadNext) -> Iterator[bytes]:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=_MEMORY_LIMIT)
    try:
        with decoder.stream_reader(cast(BinaryIO, _Readable(read)), read_across_frames=True) as reader:
            while block := reader.read(CHUNK):
                yield block
    except zstandard.ZstdError as error:
        raise DamagedStream(str(error)) from error


def _xz(read: ReadNext) -> Iterator[bytes]:
    import lzma

    try:
        yield from _frames(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT), read)
    except lzma.LZMAError as error:
        raise DamagedStream(str(error)) from error


def _lz4(read: ReadNext) -> Iterator[bytes]:
    from lz4.frame import LZ4FrameDecompressor  # only old versions of systemd write lz4

    try:
        yield from _frames(LZ4FrameDecompressor, read)
    except RuntimeError as error:  # lz4 has no exception class of its own
        raise DamagedStream(str(error)) from error


def _gzip(read: ReadNext) -> Iterator[bytes]:
    import zlib

    try:
        data = read(CHUNK)
        while data:
            decoder = zlib.decompressobj(_EXPECT_GZIP_HEADER + zlib.MAX_WBITS)
            while not decoder.eof:
                if not data:
                    data = read(CHUNK)
                    if not data:
                        return
                yield decoder.decompress(data, CHUNK)
                data = decoder.unconsumed_tail
            data = decoder.unused_data or read(CHUNK)
    except zlib.error as error:
        raise DamagedStream(str(error)) from error


def _frames(make_decoder: Callable[[], _Decoder], read: ReadNext) -> Iterator[bytes]:
    """Yield the content of all frames of a stream. Each frame needs a new decoder."""
    data = read(CHUNK)
    while data:
        decoder = make_decoder()
        while not decoder.eof:
            if decoder.needs_input and not data:
                data = read(CHUNK)
                if not data:
                    return
            yield decoder.decompress(data, CHUNK)
            data = b""  # the decoder keeps the input that it has not used yet
        data = decoder.unused_data or read(CHUNK)


_DECODERS: dict[Compression, Callable[[ReadNext], Iterator[bytes]]] = {
    Compression.ZSTD: _zstd,
    Compression.XZ: _xz,
    Compression.LZ4: _lz4,
    Compression.GZIP: _gzip,
}


class _Readable:
    """A file-like object for zstandard, which calls only `read`."""

    def __init__(self, read: ReadNext) -> None:
        self.read = read
