"""What the finder reports, and the limit that it asks for before it claims a core."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from astbtd.claims.claim import PREFIX, Claim
from astbtd.claims.claim_file import ClaimRecord
from astbtd.claims.core_filter import RefusedFile
from astbtd.model.crash import DiscoveredBy


@dataclass(frozen=True)
class CoreClaimed:
    """A core was claimed; the receiver owns the claim."""

    claim: Claim


@dataclass(frozen=True)
class CoreRenamed:
    """A collected core was found under a new name. `file` is the identity of the file, which may be a copy of it."""

    crash_id: str
    directory: str
    name: str
    file: str


def report_rename(renamed: CoreRenamed) -> Iterator[CoreRenamed]:
    """Yield a new name, unless it is one that a claim has given the core."""
    if not renamed.name.startswith(PREFIX):
        yield renamed


@dataclass(frozen=True)
class CoreReplaced:
    """A core is gone that could not be claimed before. Its crash will be recorded as one whose core is lost."""

    record: ClaimRecord


@dataclass(frozen=True)
class OlderCoresLeft:
    """At the first sight of a directory, `count` cores were left there: all but the newest of the PBX."""

    directory: str
    count: int


FinderResult = CoreClaimed | CoreRenamed | CoreReplaced | RefusedFile | OlderCoresLeft
"""What the finder reports. A refused file is reported once for each version of the file."""


MAX_PENDING_FOREIGN = 10
"""How many claims of foreign cores may be queued at a time."""


class Capacity(Protocol):
    """Limits how many claims may be queued."""

    def has_room(self, found: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:
        """Return whether one more core that was discovered this way may be claimed now.

        `in_transit` is the number of claims that are not queued yet. For `foreign` cores,
        MAX_PENDING_FOREIGN is the limit.
        """
