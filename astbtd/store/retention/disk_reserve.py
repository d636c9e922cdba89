"""Guards the part of the disk that astbtd never uses: the PBX's own logs and voicemail are on it too."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import NoRoom
from astbtd.lib.quantities import format_size


@dataclass(frozen=True)
class Disk:
    """The space on a disk, in bytes: what is free for us, and the total."""

    free: int
    total: int

    @classmethod
    def from_path(cls, path: Path) -> "Disk":
        """Return the disk that holds `path`. Raise OSError."""
        status = os.statvfs(path)
        return cls(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)

    def missing(self, share: float, needed: int = 0) -> int:
        """Return how many more bytes must be free so that `needed` bytes fit and `share` (0 to 1) stays free.

        Negative if there is space to spare.
        """
        return round(share * self.total) + needed - self.free


@dataclass(frozen=True)
class DiskReserve:
    """The share (0 to 1) of the disk with `path` that stays free. `make_room` is asked to free a number of bytes."""

    path: Path
    share: float
    make_room: Callable[[int], None] = lambda _: None

    def check(self, needed: int) -> None:
        """Make room for `needed` more bytes if the reserve requires it. Raise NoRoom if that is not enough."""
        if self._is_short_of(needed):
            self.make_room(needed)
        if self._is_short_of(needed):
            raise NoRoom(
                f"{format_size(needed)} more would leave less than {self.share:.0%} of the disk of {self.path} free",
                "free some disk space, or lower retention.minimum_free",
            )

    def _is_short_of(self, needed: int) -> bool:
        return Disk.from_path(self.path).missing(self.share, needed) > 0
