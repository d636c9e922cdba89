"""Cores that are packed in another file: compressed, or part of a report of apport; told by content, not by name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from astbtd.sources import decompression
from astbtd.sources.collectors import apport_report
from astbtd.sources.decompression import Compression, file_source

_LONGEST_START = 16
_FARTHEST = 16 << 20  # bytes into a core; headers and notes of one with thousands of threads end before


@dataclass(frozen=True)
class PackedCore:
    """How the core in the file open at `descriptor` is packed; no compression for a report."""

    descriptor: int
    compression: Compression | None

    def content(self) -> Iterator[bytes]:
        """The core, block by block, as far as it is there. Raises Damaged, Malformed or OSError."""
        if self.compression:
            return decompression.decompressed(self.compression, file_source(self.descriptor))
        return apport_report.core(self.descriptor)


def packing(descriptor: int) -> PackedCore | None:
    """How the content of an open file is packed; None where it is not packed in a known way."""
    start = os.pread(descriptor, _LONGEST_START, 0)
    kind = decompression.recognised(start)
    report = apport_report.begins(start) and apport_report.has_core(descriptor)
    return PackedCore(descriptor, kind) if kind or report else None


class LazyPrefix:
    """The first bytes of a packed core, unpacked only as far as they are asked for."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._bytes = bytearray()

    def read(self, position: int, size: int) -> bytes:
        """Up to `size` bytes at `position`; none of what lies so far in that only unpacking the whole would do."""
        if position < 0 or position + size > _FARTHEST:
            return b""
        while len(self._bytes) < position + size:
            block = next(self._content, None)
            if block is None:
                break
            self._bytes += block
        return bytes(self._bytes[position : position + size])
