"""A claim that this process holds: the open core, and the lock on its claim file."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from astbtd.claims.claim_file import ClaimRecord

NO_CORE = -1
"""The descriptor of a claim without a core."""


class ClaimOwner(Protocol):
    """The thread that accesses the file system of a claimed core, since that may hang."""

    def request_finish(self, claim: "Claim", *, remove_original: bool) -> None:
        """Call `Claims.finish_here` in that thread, without waiting for it."""


@dataclass(eq=False)
class Claim:
    """A claimed core, open at `descriptor`; its claim file is locked through the descriptor `lock`.

    Until it is prepared, `descriptor` is the core as it was found, and the id of a packed core may still change.
    `internal_errors` counts how often our own code failed to process it, `deaths` how often the daemon has ended while
    it did. `announced_at` is set even if the crash's record could not be updated. `owner` is None if any thread may
    access the core's directory. `is_released`: the descriptors are closed, or will be in the thread of the owner.
    """

    id: str
    record: ClaimRecord
    descriptor: int
    lock: int
    is_prepared: bool = True
    internal_errors: int = 0
    deaths: int = 0
    announced_at: datetime | None = None
    owner: ClaimOwner | None = None
    is_released: bool = False

    def __lt__(self, other: "Claim") -> bool:
        """Order by crash time, newest first; foreign crashes come last."""
        if self.record.foreign != other.record.foreign:
            return other.record.foreign
        return self.record.facts.crashed_at > other.record.facts.crashed_at

    def close(self) -> None:
        """Close the descriptors. The claim itself stays."""
        if self.descriptor != NO_CORE:
            os.close(self.descriptor)
        os.close(self.lock)

    def has_lost_its_name(self) -> bool:
        """Return whether only the descriptor keeps the core, so that it is gone when that is closed."""
        return not self.is_prepared and self.record.packed is None and not os.fstat(self.descriptor).st_nlink
