"""The removals that retention plans: at most one for each crash."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from astbtd.lib.quantities import format_size, pluralize
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash


@dataclass(frozen=True)
class Removal:
    """One removal of a plan: the crash, the part to remove, the size of all that goes with it in bytes, the reason."""

    id: str
    what: RemovedPart
    bytes: int
    reason: str


class RemovalPlan:
    """The removals planned so far: at most one for each crash."""

    def __init__(self, stored: Sequence[StoredCrash]) -> None:
        self._stored = stored
        self._removals: dict[str, Removal] = {}

    def crashes_with(self, part: RemovedPart) -> list[StoredCrash]:
        """Return the crashes that have the part and would keep it."""
        return [crash for crash in self._stored if crash.has(part) and not self._loses(crash, part)]

    def remove(self, crash: StoredCrash, part: RemovedPart, reason: str) -> None:
        """Plan to remove a part of a crash, with all that must not outlive it."""
        size = sum(crash.size(each) for each in part.included)
        self._removals[crash.id] = Removal(crash.id, part, size, reason)

    @property
    def freed(self) -> int:
        """The bytes that the planned removals free."""
        return sum(removal.bytes for removal in self._removals.values())

    def removals(self) -> tuple[Removal, ...]:
        """Return the removals: cores first, then texts, then records, each by crash time."""
        crash_times = {crash.id: crash.crashed_at for crash in self._stored}
        parts = tuple(RemovedPart)

        def order(removal: Removal) -> tuple[int, datetime, str]:
            return parts.index(removal.what), crash_times[removal.id], removal.id

        return tuple(sorted(self._removals.values(), key=order))

    def _loses(self, crash: StoredCrash, part: RemovedPart) -> bool:
        removal = self._removals.get(crash.id)
        return removal is not None and part in removal.what.included


def summarize(removals: Sequence[Removal]) -> str:
    """Summarise removals for people: `3 cores, the texts of 1 crash, 2 records (14M)`."""
    numbers = Counter(removal.what for removal in removals)
    phrases = {
        RemovedPart.CORE: pluralize(numbers[RemovedPart.CORE], "core", "cores"),
        RemovedPart.TEXT: "the texts of " + pluralize(numbers[RemovedPart.TEXT], "crash", "crashes"),
        RemovedPart.RECORD: pluralize(numbers[RemovedPart.RECORD], "record", "records"),
    }
    size = format_size(sum(removal.bytes for removal in removals))
    return ", ".join(phrase for part, phrase in phrases.items() if numbers[part]) + f" ({size})"
