"""Decides what the store gives up: a pure plan over what is held, the limits, the disk and the clock.

A crash has a core, texts and a record. Each of the three has limits of its own, and none outlives the next: with its
texts a crash loses its core, with its record everything.

Age          what is older goes.
Numbers      of what there is more than allowed, of one signature or in all, the first in line go, until it fits.
Size         likewise. What is too large for the limit by itself goes, and takes no others with it.
Disk         where less than the minimum is free, cores go, the first in line first. Texts, and after them records, go
             only where that brings the minimum back: what others have filled, a few texts do not free.

In line stand the oldest first, by crash time; behind them, again by crash time, the first and the newest crash of
each signature, of those that have what the limit is about. So these go last, but no limit is exceeded for them.
Nothing is taken from a crash that is pinned or in work; what it has counts for every limit but the age.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from astbtd.lib.quantities import counted, shown_duration, shown_size
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention.disk_reserve import Disk


class RemovedPart(StrEnum):
    """What is taken from a crash, from the least to all."""

    CORE = "core"
    TEXT = "text"
    RECORD = "record"

    @property
    def included(self) -> "tuple[RemovedPart, ...]":
        """What goes when this goes: itself and all that may not outlive it."""
        return tuple(RemovedPart)[: tuple(RemovedPart).index(self) + 1]


@dataclass(frozen=True, slots=True)
class StoredCrash:
    """What the store holds of one crash, in bytes.

    Ages count from `collected_at`, or from when a clock that was wrong then was set; order from `crashed_at`.
    `fixed` is what nothing is taken from; `unfinished` is what an interrupted removal has left to remove.
    """

    id: str
    crashed_at: datetime
    collected_at: datetime
    signature: str | None
    core: int
    texts: int
    record: int
    fixed: bool = False
    unfinished: RemovedPart | None = None

    def size(self, what: RemovedPart) -> int:
        """The bytes of one of the three."""
        if what is RemovedPart.CORE:
            return self.core
        return self.texts if what is RemovedPart.TEXT else self.record

    def has(self, what: RemovedPart) -> bool:
        """Whether it is there; a record always is."""
        return what is RemovedPart.RECORD or self.size(what) > 0


@dataclass(frozen=True)
class StoreTotals:
    """What a store holds in all: how many crashes have each of the three, and how many bytes that makes."""

    numbers: Counter[RemovedPart] = field(default_factory=Counter)
    sizes: Counter[RemovedPart] = field(default_factory=Counter)

    @classmethod
    def of(cls, held: Iterable[Mapping[RemovedPart, int]]) -> "StoreTotals":
        """The sum of what each crash holds, in bytes; a record always counts."""
        numbers: Counter[RemovedPart] = Counter()
        sizes: Counter[RemovedPart] = Counter()
        for one in held:
            for what, size in one.items():
                numbers[what] += size > 0 or what is RemovedPart.RECORD
                sizes[what] += size
        return cls(numbers, sizes)

    def __add__(self, more: "StoreTotals") -> "StoreTotals":
        return StoreTotals(self.numbers + more.numbers, self.sizes + more.sizes)

    def __sub__(self, less: "StoreTotals") -> "StoreTotals":
        return StoreTotals(self.numbers - less.numbers, self.sizes - less.sizes)

    @property
    def size(self) -> int:
        """The bytes of everything."""
        return sum(self.sizes.values())

    def exceeds(self, limits: RetentionSettings) -> bool:
        """Whether there may be more texts or records than allowed, whatever their age."""
        return any(
            (limit.count is not None and self.numbers[what] > limit.count)
            or (limit.size is not None and self.sizes[what] > limit.size)
            or (limit.per_signature is not None and self.numbers[what] > limit.per_signature)
            for what, limit in ((RemovedPart.TEXT, limits.texts), (RemovedPart.RECORD, limits.records))
        )


@dataclass(frozen=True)
class Removal:
    """What is to be taken from a crash, how many bytes that makes, and why."""

    id: str
    what: RemovedPart
    bytes: int
    reason: str


def plan(
    held: Sequence[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None, needed: int = 0
) -> tuple[Removal, ...]:
    """What must go, at most one removal for each crash: cores first, then texts, then records, each by crash time.

    With `now` None the time is not known, and nothing is too old. `needed` bytes besides the minimum are made free
    where removing cores makes them.
    """
    planned: dict[str, Removal] = {}
    for what, limit in (
        (RemovedPart.RECORD, limits.records),
        (RemovedPart.TEXT, limits.texts),
        (RemovedPart.CORE, limits.cores),
    ):
        having = [holding for holding in held if holding.has(what) and holding.id not in planned]
        planned |= {
            holding.id: _removal(holding, what, reason) for holding, reason in _beyond(having, what, limit, now)
        }
    lacking = disk.lacks(limits.minimum_free) - sum(removal.bytes for removal in planned.values())
    too_little = f"less than {limits.minimum_free:.0%} of the disk free"
    for holding, what in _for_room(held, planned, lacking, needed):
        planned[holding.id] = _removal(holding, what, too_little)
    moments = {holding.id: (holding.crashed_at, holding.id) for holding in held}
    return tuple(sorted(planned.values(), key=lambda removal: (len(removal.what.included), moments[removal.id])))


def within(limits: RetentionSettings) -> RetentionSettings:
    """What of the limits is left to be planned for where `StoreTotals.exceeds` is false, and the disk not short."""
    return replace(limits, texts=Limits(limits.texts.age), records=Limits(limits.records.age), minimum_free=0.0)


def concerns(limits: RetentionSettings, now: datetime | None, holding: StoredCrash) -> bool:
    """Whether a plan under the limits that are left may take something from a crash: from all others it cannot."""
    if holding.core or holding.unfinished:
        return True
    ages = filter(None, (limits.texts.age, limits.records.age))
    return now is not None and any(_is_older(age, now, holding) for age in ages)


def in_words(removals: Sequence[Removal]) -> str:
    """What is removed, as `3 cores, the texts of 1 crash, 2 records (14M)`."""
    numbers = Counter(removal.what for removal in removals)
    parts = {
        RemovedPart.CORE: counted(numbers[RemovedPart.CORE], "core", "cores"),
        RemovedPart.TEXT: "the texts of " + counted(numbers[RemovedPart.TEXT], "crash", "crashes"),
        RemovedPart.RECORD: counted(numbers[RemovedPart.RECORD], "record", "records"),
    }
    size = shown_size(sum(removal.bytes for removal in removals))
    return ", ".join(part for what, part in parts.items() if numbers[what]) + f" ({size})"


def _removal(holding: StoredCrash, what: RemovedPart, reason: str) -> Removal:
    return Removal(holding.id, what, sum(holding.size(each) for each in what.included), reason)


def _line(having: Sequence[StoredCrash]) -> list[StoredCrash]:
    """Those from which something may be taken, the first to go first."""
    by_time = sorted(having, key=lambda holding: (holding.crashed_at, holding.id))
    newest = {holding.signature: holding.id for holding in by_time}
    first = {holding.signature: holding.id for holding in reversed(by_time)}
    last = {*first.values(), *newest.values()}
    return sorted((holding for holding in by_time if not holding.fixed), key=lambda holding: holding.id in last)


_Rule = Callable[[Sequence[StoredCrash]], list[StoredCrash]]


def _beyond(
    having: Sequence[StoredCrash], what: RemovedPart, limits: Limits, now: datetime | None
) -> Iterator[tuple[StoredCrash, str]]:
    """Who of those that have `what` must lose it, and why."""
    for rule, reason in _rules(what, limits, now):
        going = rule(having)
        yield from ((holding, reason) for holding in going)
        gone = {holding.id for holding in going}
        having = [holding for holding in having if holding.id not in gone]


def _rules(what: RemovedPart, limits: Limits, now: datetime | None) -> Iterator[tuple[_Rule, str]]:
    yield partial(_unfinished, what), "its removal was interrupted"
    if limits.age is not None and now is not None:
        yield partial(_too_old, limits.age, now), f"older than {shown_duration(limits.age)}"
    if limits.per_signature is not None:
        yield partial(_too_many_alike, limits.per_signature), f"more than {limits.per_signature} of its signature"
    if limits.count is not None:
        yield partial(_too_many, limits.count), f"more than {limits.count} in all"
    if limits.size is not None:
        yield partial(_too_large, what, limits.size), f"beyond {shown_size(limits.size)} in all"


def _in_line(having: Sequence[StoredCrash], goes: Callable[[StoredCrash], bool]) -> list[StoredCrash]:
    """Those who go, in line; to put thousands into one costs, and most often nobody goes."""
    return [holding for holding in _line(having) if goes(holding)] if any(map(goes, having)) else []


def _unfinished(what: RemovedPart, having: Sequence[StoredCrash]) -> list[StoredCrash]:
    return _in_line(having, lambda holding: holding.unfinished is what)


def _too_old(age: float, now: datetime, having: Sequence[StoredCrash]) -> list[StoredCrash]:
    return _in_line(having, lambda holding: _is_older(age, now, holding))


def _is_older(age: float, now: datetime, holding: StoredCrash) -> bool:
    return (now - holding.collected_at).total_seconds() > age


def _too_many_alike(count: int, having: Sequence[StoredCrash]) -> list[StoredCrash]:
    alike = defaultdict(list)
    for holding in having:
        alike[holding.signature].append(holding)
    return [holding for group in alike.values() for holding in _too_many(count, group)]


def _too_many(count: int, having: Sequence[StoredCrash]) -> list[StoredCrash]:
    return _line(having)[: len(having) - count] if len(having) > count else []


def _too_large(what: RemovedPart, size: int, having: Sequence[StoredCrash]) -> list[StoredCrash]:
    if sum(holding.size(what) for holding in having) <= size:
        return []
    room = size - sum(holding.size(what) for holding in having if holding.fixed)
    line = _line(having)
    taken = sum(holding.size(what) for holding in line if holding.size(what) <= room)
    going = []
    for holding in line:
        if holding.size(what) > room:
            going.append(holding)
        elif taken > room:
            going.append(holding)
            taken -= holding.size(what)
    return going


def _for_room(
    held: Sequence[StoredCrash], planned: Mapping[str, Removal], lacking: int, needed: int
) -> Iterator[tuple[StoredCrash, RemovedPart]]:
    """What else must go for the disk, where so many bytes are lacking and so many more needed."""
    if lacking + needed <= 0:
        return
    left = {
        what: _line([each for each in held if each.has(what) and not _goes(each, what, planned)])
        for what in RemovedPart
    }
    sizes = {what: sum(holding.size(what) for holding in line) for what, line in left.items()}
    if sizes[RemovedPart.CORE] >= lacking + needed:
        lacking += needed
    in_reach = sum(sizes.values()) >= lacking
    for what, line in left.items():
        for holding in line:
            if lacking <= 0 or not (in_reach or what is RemovedPart.CORE):
                return
            yield holding, what
            lacking -= holding.size(what)


def _goes(holding: StoredCrash, what: RemovedPart, planned: Mapping[str, Removal]) -> bool:
    return holding.id in planned and what in planned[holding.id].what.included
