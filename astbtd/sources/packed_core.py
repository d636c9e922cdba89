"""Cores inside another file: compressed, or in an apport report. Detected from the content, not from the name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from astbtd.lib import decompression
from astbtd.lib.decompression import Compression, file_reader
from astbtd.sources.collectors import apport_report

_MAGIC_LENGTH = 16
_PREFIX_LIMIT = 16 << 20  # bytes; the headers and notes of a core with thousands of threads are shorter


@dataclass(frozen=True)
class PackedCore:
    """How the core in the file open at `descriptor` is packed. `compression` is None for an apport report."""

    descriptor: int
    compression: Compression | None

    def content(self) -> Iterator[bytes]:
        """Yield the core block by block, as much as the file contains.

        Raise DamagedStream, MalformedReport or OSError.
        """
        if self.compression:
            return decompression.decompress(self.compression, file_reader(self.descriptor))
        return apport_report.core(self.descriptor)


def detect_packing(descriptor: int) -> PackedCore | None:
    """Return how the content of an open file is packed; None if it is not packed in a supported way."""
    start = os.pread(descriptor, _MAGIC_LENGTH, 0)
    compression = decompression.detect(start)
    if compression:
        return PackedCore(descriptor, compression)
    if apport_report.is_report(start) and apport_report.has_core(descriptor):
        return PackedCore(descriptor, None)
    return None


class LazyPrefix:
    """The first bytes of a packed core, unpacked only as far as they are read."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._bytes = bytearray()

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes at `position`; nothing beyond the first 16 MiB, to limit what is unpacked."""
        end = position + size
        if position < 0 or end > _PREFIX_LIMIT:
            return b""
        while len(self._bytes) < end:
            block = next(self._content, None)
            if block is None:
                break
            self._bytes += block
        return bytes(self._bytes[position:end])
