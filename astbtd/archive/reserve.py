"""Guards the part of the disk that astbtd never takes: the PBX's own logs and voicemail live there too."""

import os
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import NoRoom
from astbtd.quantities import shown_size


@dataclass(frozen=True)
class Reserve:
    """The share (0 to 1) of the file system of `path` that stays free."""

    path: Path
    share: float

    def check(self, needed: int) -> None:
        """Raises NoRoom if `needed` bytes more would eat into the reserve."""
        disk = os.statvfs(self.path)
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        if free - needed < self.share * total:
            raise NoRoom(
                f"{shown_size(needed)} more would leave less than {self.share:.0%} of the disk of {self.path} free",
                "free some space, or lower retention.minimum_free",
            )
