"""Unpacks a packed core into a private file, sparse, and within limits: what it claims to be is another's word."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.lib import sparse
from astbtd.lib.quantities import shown_size
from astbtd.settings import UnpackingSettings
from astbtd.sources.collectors.apport_report import Malformed
from astbtd.sources.decompression import DamagedStream
from astbtd.sources.packed_core import packing

_STEP = 64 << 20
"""Bytes of data between two looks at the disk; so much may any packed core unpack to, whatever its ratio."""


class NotUnpacked(AstbtdError):
    """What is packed is more than it may be, or nothing that can be read."""


@dataclass(frozen=True)
class Unpacker:
    """`reserve` raises NoRoom when so many bytes more are not to be had; `stopped` raises to end early."""

    limits: UnpackingSettings
    reserve: Callable[[int], None]
    stopped: Callable[[], None]

    def unpack(self, packed: int, target: int) -> None:
        """Unpacks the core in the file open at `packed` into the empty file open at `target`.

        Where the packed core is cut short or damaged, so is the result. Raises NotUnpacked, NoRoom.
        """
        content = packing(packed)
        if content is None:
            raise NotUnpacked("it is not packed in a known way")
        size = data = 0
        self.reserve(os.fstat(packed).st_size)
        try:
            for block in content.content():
                self.stopped()
                size += len(block)
                before, data = data, data + sparse.write(target, block)
                self._check(size, data, os.fstat(packed).st_size)
                if before // _STEP != data // _STEP:
                    self.reserve(_STEP)
        except (DamagedStream, Malformed) as error:
            if size == 0:
                raise NotUnpacked(f"it is damaged: {error}") from error
        os.ftruncate(target, size)

    def _check(self, size: int, data: int, packed: int) -> None:
        if size > self.limits.size:
            raise NotUnpacked(
                f"it unpacks to more than {shown_size(self.limits.size)}", "raise unpacking.size if it is no attack"
            )
        if data > max(_STEP, self.limits.ratio * packed):
            raise NotUnpacked(
                f"it unpacks to more than {self.limits.ratio} times its size",
                "raise unpacking.ratio if it is no attack",
            )
