"""Helpers for tests of what finds and claims cores: the finder, the scanners, the supervisor."""

import gc
import os
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.claim import Claim, ClaimRecord, Claims
from astbtd.claims.core_filter import RefusedFile
from astbtd.claims.finder import CoreClaimed, CoreFinder, CoreRenamed, CoreReplaced, FinderResult
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.claims.private_copy import Unpacker
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.settings import UnpackingSettings

TIMEOUT = 30.0  # seconds; only a failing test waits for so long


def no_limit(_: int) -> None:
    """Never raise NoRoom."""


def make_claims(directory: Path, reserve: Callable[[int], None] = no_limit) -> Claims:
    """Return the claims in `directory`/incoming, which is created if necessary."""
    incoming = directory / "incoming"
    incoming.mkdir(exist_ok=True)
    return Claims(incoming, -1, Unpacker(UnpackingSettings(), reserve, lambda: None))


def count_descriptors() -> int:
    """Return how many descriptors are open, without those of objects that are garbage."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@dataclass
class Queue:
    """A worker's queue with a limited capacity, which collects results instead of processing them."""

    written: int = 1000
    """How many cores may be queued that were found by an event."""
    found: int = 1000
    """How many cores may be queued that were found by a scan."""
    foreign: int = 10
    """How many cores of foreign programs may be queued."""
    claims: list[Claim] = field(default_factory=list)
    renamed: list[CoreRenamed] = field(default_factory=list)
    replaced: list[ClaimRecord] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
    older: list[OlderCoresLeft] = field(default_factory=list)

    def has_room(self, found: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:
        """Decide like the worker."""
        if foreign:
            return sum(claim.record.foreign for claim in self.claims) + in_transit < self.foreign
        limit = self.written if found is DiscoveredBy.EVENT else self.found
        return len(self.claims) + in_transit < limit

    def add(self, results: Iterable[FinderResult]) -> list[Claim]:
        """Handle results one by one, and return the claims among them."""
        added = []
        for result in results:
            if isinstance(result, CoreClaimed):
                self.claims.append(result.claim)
                added.append(result.claim)
            elif isinstance(result, CoreRenamed):
                self.renamed.append(result)
            elif isinstance(result, CoreReplaced):
                self.replaced.append(result.record)
            elif isinstance(result, OlderCoresLeft):
                self.older.append(result)
            else:
                self.refused.append(result)
        return added

    def names(self) -> list[str]:
        """Return the names of the claimed cores, in the order in which they were queued."""
        return [claim.record.name for claim in self.claims]

    def take_all(self) -> list[Claim]:
        """Remove all claims from the queue and return them; the caller finishes them."""
        claims, self.claims = self.claims, []
        return claims

    def close(self) -> None:
        """Close the claims that are left."""
        for claim in self.take_all():
            claim.close()


class HangingQueue(Queue):
    """A queue whose capacity can be asked by other threads only once `answers` is set, as if their file system hung."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.is_asked = threading.Event()

    def has_room(self, found: DiscoveredBy, in_transit: int = 0, *, foreign: bool = False) -> bool:
        """Decide like the worker, after a while."""
        if threading.current_thread() is not threading.main_thread():
            self.is_asked.set()
            assert self.answers.wait(TIMEOUT)
        return super().has_room(found, in_transit, foreign=foreign)


def make_finder(
    claims: Claims,
    queue: Queue,
    action: CoreAction = CoreAction.MOVE,
    collected: Callable[[Collection[str]], set[str]] = lambda _: set(),
) -> CoreFinder:
    """Return a finder for cores of Asterisk, which runs as root or as the user who runs the tests."""
    finder = CoreFinder(claims, collected, ("asterisk",), action, queue)
    finder.identity = PbxIdentity(frozenset((0, os.geteuid())))
    return finder
