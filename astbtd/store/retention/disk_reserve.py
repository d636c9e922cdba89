"""Guards the part of the disk that astbtd never takes: the PBX's own logs and voicemail live there too."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import NoRoom
from astbtd.lib.quantities import shown_size


@dataclass(frozen=True)
class Disk:
    """The room on a disk, in bytes: what is free for us, and all there is."""

    free: int
    total: int

    @classmethod
    def of(cls, path: Path) -> "Disk":
        """The disk that `path` is on."""
        found = os.statvfs(path)
        return cls(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    def lacks(self, share: float, needed: int = 0) -> int:
        """How much more would have to be free for `needed` bytes to leave `share` (0 to 1) free; negative if less."""
        return round(share * self.total) + needed - self.free


@dataclass(frozen=True)
class DiskReserve:
    """The share (0 to 1) of the disk of `path` that stays free; `make_room` may free so many bytes for us to use."""

    path: Path
    share: float
    make_room: Callable[[int], None] = lambda _: None

    def check(self, needed: int) -> None:
        """Raises NoRoom if `needed` bytes more would eat into the reserve, whatever room can be made."""
        if self._is_short_of(needed):
            self.make_room(needed)
        if self._is_short_of(needed):
            raise NoRoom(
                f"{shown_size(needed)} more would leave less than {self.share:.0%} of the disk of {self.path} free",
                "free some space, or lower retention.minimum_free",
            )

    def _is_short_of(self, needed: int) -> bool:
        return Disk.of(self.path).lacks(self.share, needed) > 0
