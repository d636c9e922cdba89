"""Cores inside another file: compressed, or in an apport report. Detected from the content, not from the name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from astbtd.lib import decompression
from astbtd.lib.decompression import Compression, file_reader
from astbtd.lib.read_budget import ReadBudget, unlimited
from astbtd.sources.collectors import apport_report

_MAGIC_LENGTH = 16
_PREFIX_LIMIT = 16 << 20  # bytes; the headers and notes of a core with thousands of threads are shorter


@dataclass(frozen=True)
class PackedCore:
    """How the core in the file open at `descriptor` is packed. `compression` is None for an apport report.

    `budget` limits what is read of the file.
    """

    descriptor: int
    compression: Compression | None
    budget: ReadBudget

    def content(self) -> Iterator[bytes]:
        """Yield the core block by block, as much as the file contains.

        Raise DamagedStream, MalformedReport, OSError or BudgetExceeded.
        """
        if self.compression:
            read = self.budget.sequential(file_reader(self.descriptor))
            return self.budget.blocks(decompression.decompress(self.compression, read))
        return self.budget.blocks(apport_report.core(self.descriptor, self.budget))


def may_be_packed(start: bytes) -> bool:
    """Return whether a file with these first bytes, at least 16, may be packed in a supported way."""
    return decompression.detect(start) is not None or apport_report.is_report(start)


def detect_packing(descriptor: int, budget: ReadBudget | None = None) -> PackedCore | None:
    """Return how the content of an open file is packed; None if it is not packed in a supported way.

    `budget` limits what is read, here and later; without it, nothing does.
    """
    budget = budget or unlimited()
    start = os.pread(descriptor, _MAGIC_LENGTH, 0)
    compression = decompression.detect(start)
    if compression:
        return PackedCore(descriptor, compression, budget)
    if apport_report.is_report(start) and apport_report.has_core(descriptor, budget):
        return PackedCore(descriptor, None, budget)
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
