"""The order in which crashes lose a part: those first that other crashes can replace. policy.py describes the order."""

from collections.abc import Sequence
from enum import IntEnum

from astbtd.store.retention.stored_crash import StoredCrash


class Value(IntEnum):
    """How much a crash is worth keeping: the least first."""

    DUPLICATE = 0
    FIRST_AT_SITE = 1
    NEWEST_AT_SITE = 2
    NEWEST_OF_SIGNATURE = 3


class Ranking:
    """Ranks crashes by what it has seen of all, without keeping them. They are added in the order of their times.

    Foreign crashes have the least value, and replace nothing.
    """

    def __init__(self) -> None:
        self._newest_of_signature: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        self._first: dict[str, str] = {}

    def add(self, crash: StoredCrash) -> None:
        """Take a crash into account that is newer than those before."""
        if crash.foreign:
            return
        if crash.signature:
            self._newest_of_signature[crash.signature] = crash.id
        self._newest[crash.group] = crash.id
        self._first.setdefault(crash.group, crash.id)

    def value(self, crash: StoredCrash) -> Value:
        """Return the value of a crash, once all were added."""
        if crash.foreign or crash.signature is None:
            return Value.DUPLICATE
        if self._newest_of_signature[crash.signature] == crash.id:
            return Value.NEWEST_OF_SIGNATURE
        if self._newest[crash.group] == crash.id:
            return Value.NEWEST_AT_SITE
        return Value.FIRST_AT_SITE if self._first[crash.group] == crash.id else Value.DUPLICATE


def removal_order(crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
    """Return the crashes that may be removed, the first to be removed first: foreign ones, then by value and time."""
    by_time = sorted(crashes, key=lambda crash: (crash.crashed_at, crash.id))
    ranking = Ranking()
    for crash in by_time:
        ranking.add(crash)
    removable = [crash for crash in by_time if not crash.fixed]
    return sorted(removable, key=lambda crash: (not crash.foreign, ranking.value(crash)))
