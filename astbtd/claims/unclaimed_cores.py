"""Cores that were examined but could not be claimed. If such a core is replaced, its crash is still recorded."""

import os
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from astbtd.claims.claim_file import ClaimRecord
from astbtd.claims.core_filter import Candidate
from astbtd.claims.lost_cores import GIVE_EACH_CORE_A_NAME
from astbtd.model.crash import DiscoveredBy, LostCore

_MAX_UNCLAIMED = 1000
_MAX_OF_OWNER = 100


@dataclass(frozen=True)
class _Unclaimed:
    """What a lost core's claim record will say, the owner and the version of the file."""

    record: ClaimRecord
    owner: int
    version: tuple[int, int, int, int]


class UnclaimedCores:
    """The cores that could not be claimed, by identity: at most 1000, and 100 of each owner.

    If there are too many, the oldest of the owner with the most are forgotten: no user's cores displace another's.
    A core is gone if it is missing twice in a row: a scan misses a file that is renamed meanwhile.
    """

    def __init__(self) -> None:
        self._cores: OrderedDict[str, _Unclaimed] = OrderedDict()
        self._missing: set[str] = set()
        self._reported: set[str] = set()

    def add(self, candidate: Candidate, found: DiscoveredBy, reason: str, *, foreign: bool) -> None:
        """Remember a core that cannot be claimed now for the `reason`, a phrase for people."""
        status = os.fstat(candidate.descriptor)
        facts = candidate.facts
        what = f"The core is lost: it was replaced or removed before astbtd could claim it ({reason})."
        loss = LostCore(what, GIVE_EACH_CORE_A_NAME)
        record = ClaimRecord(
            facts,
            candidate.directory,
            candidate.name,
            found,
            inode=status.st_ino,
            copied=True,
            source=candidate.source,
            loss=loss,
            foreign=foreign,
        )
        self._cores.pop(facts.identity, None)
        self._cores[facts.identity] = _Unclaimed(record, status.st_uid, _version(status))
        self._forget_excess()

    def follow(self, status: os.stat_result, directory: str, name: str) -> None:
        """Note the name under which a file is found now: it may be one of the cores, which was renamed."""
        version = _version(status)
        for identity, unclaimed in self._cores.items():
            if unclaimed.version == version:
                record = replace(unclaimed.record, directory=directory, name=name)
                self._cores[identity] = replace(unclaimed, record=record)
                return

    def _forget_excess(self) -> None:
        by_owner = Counter(unclaimed.owner for unclaimed in self._cores.values())
        owner, most = by_owner.most_common(1)[0]
        if most > _MAX_OF_OWNER or len(self._cores) > _MAX_UNCLAIMED:
            self.remove(next(identity for identity, unclaimed in self._cores.items() if unclaimed.owner == owner))

    def remove(self, identity: str) -> None:
        """Forget a core: it was claimed, or its loss is recorded."""
        self._cores.pop(identity, None)
        self._missing.discard(identity)
        self._reported.discard(identity)

    def replaced(self, is_claimed: Callable[[set[str]], bool]) -> list[ClaimRecord]:
        """Return the records of the cores that are gone. Forget those that were claimed. Call this after each scan."""
        missing_before = self._missing
        self._missing = {identity for identity, unclaimed in self._cores.items() if not _is_still_there(unclaimed)}
        for identity in [each for each in self._missing if is_claimed({each})]:
            self.remove(identity)
        gone = self._missing & missing_before
        return [unclaimed.record for identity, unclaimed in self._cores.items() if identity in gone]

    def is_first_report(self, record: ClaimRecord) -> bool:
        """Return whether the loss of this core was not reported yet, and remember that it is reported now."""
        identity = record.facts.identity
        is_first = identity not in self._reported
        self._reported.add(identity)
        return is_first


def _is_still_there(unclaimed: _Unclaimed) -> bool:
    try:
        return _version(os.lstat(unclaimed.record.path)) == unclaimed.version
    except OSError:
        return False


def _version(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what tells a file from its successor, which may have the same inode."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
