"""Decompresses what a stream's own first bytes say that it is, block by block and within bounded memory."""

import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import BinaryIO, Protocol, cast

import zstandard

from astbtd.lib.sparse import CHUNK

Source = Callable[[int], bytes]
"""Gives the next bytes of a stream, at most so many; none at its end."""

_MOST_MEMORY = 128 << 20  # bytes for what a decoder must remember; `xz -9` asks for 65 MiB, `zstd -19` for 8
_GZIP_HEADER = 16 + zlib.MAX_WBITS


class DamagedStream(ValueError):
    """The stream stops being what its first bytes promised, or wants more memory than it may have."""


class Compression(Enum):
    """The formats by the bytes that each begins with."""

    ZSTD = b"\x28\xb5\x2f\xfd"
    XZ = b"\xfd7zXZ\0"
    LZ4 = b"\x04\x22\x4d\x18"
    GZIP = b"\x1f\x8b\x08"


class _Decoder(Protocol):
    """What the decoders of lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def file_source(descriptor: int, position: int = 0) -> Source:
    """Reads an open file from `position` on, without moving the position that it has."""

    def read(size: int) -> bytes:
        nonlocal position
        data = os.pread(descriptor, size, position)
        position += len(data)
        return data

    return read


def recognised(start: bytes) -> Compression | None:
    """The compression that a stream with these first bytes has."""
    return next((kind for kind in Compression if start.startswith(kind.value)), None)


def decompressed(kind: Compression, source: Source) -> Iterator[bytes]:
    """The content of a stream in blocks of at most `CHUNK` bytes. Where it is cut short, so is its content.

    Raises Damaged.
    """
    try:
        yield from _DECODERS[kind](source)
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, RuntimeError) as error:  # lz4 has no error of its own
        raise DamagedStream(str(error)) from error


def _zstd(source: Source) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor(max_window_size=_MOST_MEMORY)
    with decoder.stream_reader(cast(BinaryIO, _Readable(source)), read_across_frames=True) as reader:
        while block := reader.read(CHUNK):
            yield block


def _xz(source: Source) -> Iterator[bytes]:
    return _frames(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY), source)


def _lz4(source: Source) -> Iterator[bytes]:
    from lz4.frame import LZ4FrameDecompressor  # only old systemds write it

    return _frames(LZ4FrameDecompressor, source)


def _frames(make: Callable[[], _Decoder], source: Source) -> Iterator[bytes]:
    """The content of one frame after the other; each has a decoder of its own."""
    data = source(CHUNK)
    while data:
        decoder = make()
        while not decoder.eof:
            if decoder.needs_input and not data and not (data := source(CHUNK)):
                return
            yield decoder.decompress(data, CHUNK)
            data = b""
        data = decoder.unused_data or source(CHUNK)


def _gzip(source: Source) -> Iterator[bytes]:
    data = source(CHUNK)
    while data:
        decoder = zlib.decompressobj(_GZIP_HEADER)
        while not decoder.eof:
            if not data and not (data := source(CHUNK)):
                return
            yield decoder.decompress(data, CHUNK)
            data = decoder.unconsumed_tail
        data = decoder.unused_data or source(CHUNK)


_DECODERS: dict[Compression, Callable[[Source], Iterator[bytes]]] = {
    Compression.ZSTD: _zstd,
    Compression.XZ: _xz,
    Compression.LZ4: _lz4,
    Compression.GZIP: _gzip,
}


class _Readable:
    """A source as zstandard reads it: by this method alone."""

    def __init__(self, source: Source) -> None:
        self.read = source
