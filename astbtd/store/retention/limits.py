"""The limits of retention: each limit is one class, and LIMITS lists them all.

`astbtd prune`, the daemon's timer and the daemon after a crash all enforce LIMITS. policy.py describes the rules.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from astbtd.lib.quantities import format_duration, format_size
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.removal_order import removal_order
from astbtd.store.retention.removal_plan import RemovalPlan
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals


@dataclass(frozen=True)
class Conditions:
    """What a plan depends on besides the stored crashes.

    `now` is None if the time is not known: then nothing is too old. `needed`: bytes to free in addition to the minimum,
    if removing cores can free them.
    """

    settings: RetentionSettings
    disk: Disk
    now: datetime | None
    needed: int = 0

    def part_limits(self) -> Iterator[tuple[RemovedPart, Limits]]:
        """Yield the configured limits of each part."""
        yield RemovedPart.RECORD, self.settings.records
        yield RemovedPart.TEXT, self.settings.texts
        yield RemovedPart.CORE, self.settings.cores


class Limit(ABC):
    """One limit. To add a limit, subclass this and add the class to LIMITS.

    A subclass need only say what exceeds the limit. The other members save reading records; their defaults are always
    correct: the limit is then enforced by every run, which reads all crashes that have one of the parts.
    """

    parts: tuple[RemovedPart, ...]
    """The parts that the limit may remove. If it is the core alone, only crashes with cores are read."""

    reason: str
    """Why something is removed, for people."""

    only_time_matters: ClassVar[bool] = False
    """True if the limit judges each crash by itself, and a new crash changes nothing for the others. Such a limit is
    enforced on the timer; after a crash, on the crashes that are read for other limits."""

    @classmethod
    @abstractmethod
    def configured(cls, conditions: Conditions) -> "Iterator[Limit]":
        """Yield the limits of this kind that the settings ask for."""

    @abstractmethod
    def find_excess(self, plan: RemovalPlan) -> Iterable[tuple[StoredCrash, RemovedPart]]:
        """Return what must be removed in addition to the plan so far."""

    def may_be_exceeded(self, totals: StoreTotals) -> bool:  # noqa: ARG002 - for subclasses
        """Return False if a store with these totals cannot exceed the limit."""
        return True

    def concerns(self, crash: StoredCrash) -> bool:
        """Return False if the crash makes no difference to the limit: neither loses anything nor counts."""
        return any(crash.has(part) for part in self.parts)

    @property
    def removes_only_cores(self) -> bool:
        """True if the limit is about crashes with cores only. They are few."""
        return self.parts == (RemovedPart.CORE,)

    @property
    def needs_reading_after_crash(self) -> bool:
        """True if crashes are read for this limit after a new crash, and not only on the timer."""
        return self.removes_only_cores or not self.only_time_matters


class _PartLimit(Limit):
    """A limit on one part. Foreign crashes have a quota of their own: of them, only the age is limited here."""

    def __init__(self, part: RemovedPart, reason: str) -> None:
        self.part = part
        self.parts = (part,)
        self.reason = reason

    def find_excess(self, plan: RemovalPlan) -> Iterable[tuple[StoredCrash, RemovedPart]]:
        counted = [crash for crash in plan.crashes_with(self.part) if self.only_time_matters or not crash.foreign]
        return [(crash, self.part) for crash in self.select(counted)]

    @abstractmethod
    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        """Return those of the crashes that have the part that must lose it."""


class InterruptedRemoval(_PartLimit):
    """Finishes removals that were interrupted: the record marks the part as removed, but files are left."""

    only_time_matters = True

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        for part, _ in conditions.part_limits():
            yield cls(part, "its removal was interrupted")

    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        return _removable(crashes, self.concerns)

    def concerns(self, crash: StoredCrash) -> bool:
        return crash.unfinished is self.part


class AgeLimit(_PartLimit):
    """How long a part is kept, in seconds since the crash was collected."""

    only_time_matters = True

    def __init__(self, part: RemovedPart, age: float, now: datetime) -> None:
        super().__init__(part, f"older than {format_duration(age)}")
        self._age = age
        self._now = now

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        for part, limits in conditions.part_limits():
            if limits.age is not None and conditions.now is not None:
                yield cls(part, limits.age, conditions.now)

    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        return _removable(crashes, self._is_exceeded_by)

    def concerns(self, crash: StoredCrash) -> bool:
        return crash.has(self.part) and self._is_exceeded_by(crash)

    def _is_exceeded_by(self, crash: StoredCrash) -> bool:
        return (self._now - crash.collected_at).total_seconds() > self._age


class SiteLimit(_PartLimit):
    """How many crashes at one site keep a part. The setting has its name from the time when signatures were counted."""

    def __init__(self, part: RemovedPart, count: int) -> None:
        super().__init__(part, f"more than {count} of its site")
        self._count = count

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        for part, limits in conditions.part_limits():
            if limits.per_signature is not None:
                yield cls(part, limits.per_signature)

    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        groups = defaultdict(list)
        for crash in crashes:
            groups[crash.group].append(crash)
        return [crash for group in groups.values() for crash in _beyond_count(group, self._count)]

    def may_be_exceeded(self, totals: StoreTotals) -> bool:
        return _is_core(self.part) or totals.numbers[self.part] > self._count


class CountLimit(_PartLimit):
    """How many crashes keep a part."""

    def __init__(self, part: RemovedPart, count: int) -> None:
        super().__init__(part, f"more than {count} in all")
        self._count = count

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        for part, limits in conditions.part_limits():
            if limits.count is not None:
                yield cls(part, limits.count)

    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        return _beyond_count(crashes, self._count)

    def may_be_exceeded(self, totals: StoreTotals) -> bool:
        return _is_core(self.part) or totals.numbers[self.part] > self._count


class SizeLimit(_PartLimit):
    """How many bytes a part takes in all crashes together."""

    def __init__(self, part: RemovedPart, size: int) -> None:
        super().__init__(part, f"beyond {format_size(size)} in all")
        self._size = size

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        for part, limits in conditions.part_limits():
            if limits.size is not None:
                yield cls(part, limits.size)

    def select(self, crashes: Sequence[StoredCrash]) -> list[StoredCrash]:
        if self._total(crashes) <= self._size:
            return []
        available = self._size - self._total(crash for crash in crashes if crash.fixed)
        in_order = removal_order(crashes)
        used = self._total(crash for crash in in_order if crash.size(self.part) <= available)
        selected = []
        for crash in in_order:
            size = crash.size(self.part)
            if size > available:  # too large by itself, whatever else is removed
                selected.append(crash)
            elif used > available:
                selected.append(crash)
                used -= size
        return selected

    def may_be_exceeded(self, totals: StoreTotals) -> bool:
        return _is_core(self.part) or totals.sizes[self.part] > self._size

    def _total(self, crashes: Iterable[StoredCrash]) -> int:
        return sum(crash.size(self.part) for crash in crashes)


class DiskLimit(Limit):
    """How much of the disk stays free."""

    parts = tuple(RemovedPart)

    def __init__(self, conditions: Conditions) -> None:
        self._minimum_free = conditions.settings.minimum_free
        self._disk = conditions.disk
        self._needed = conditions.needed
        self.reason = f"less than {self._minimum_free:.0%} of the disk free"

    @classmethod
    def configured(cls, conditions: Conditions) -> Iterator[Limit]:
        yield cls(conditions)

    def find_excess(self, plan: RemovalPlan) -> Iterable[tuple[StoredCrash, RemovedPart]]:
        missing = self._disk.missing(self._minimum_free) - plan.freed
        if missing + self._needed <= 0:
            return
        removable = {part: removal_order(plan.crashes_with(part)) for part in RemovedPart}
        sizes = {part: sum(crash.size(part) for crash in crashes) for part, crashes in removable.items()}
        if sizes[RemovedPart.CORE] >= missing + self._needed:
            missing += self._needed
        # Texts and records help only if everything together is enough.
        parts = tuple(RemovedPart) if sum(sizes.values()) >= missing else (RemovedPart.CORE,)
        candidates = ((crash, part) for part in parts for crash in removable[part])
        for crash, part in candidates:
            if missing <= 0:
                return
            yield crash, part
            missing -= crash.size(part)

    def may_be_exceeded(self, totals: StoreTotals) -> bool:  # noqa: ARG002 - the disk is what counts
        return self._disk.missing(self._minimum_free, self._needed) > 0


LIMITS: tuple[type[Limit], ...] = (InterruptedRemoval, AgeLimit, SiteLimit, CountLimit, SizeLimit, DiskLimit)
"""Every limit there is, in the order in which they are applied to each part."""


def _removable(crashes: Sequence[StoredCrash], exceeds: Callable[[StoredCrash], bool]) -> list[StoredCrash]:
    """Return the crashes that exceed a limit, in removal order."""
    if not any(map(exceeds, crashes)):  # usually; ordering thousands of crashes takes time
        return []
    return [crash for crash in removal_order(crashes) if exceeds(crash)]


def _beyond_count(crashes: Sequence[StoredCrash], count: int) -> list[StoredCrash]:
    """Return the crashes to remove so that `count` of them remain, as far as they may be removed."""
    excess = len(crashes) - count
    return removal_order(crashes)[:excess] if excess > 0 else []


def _is_core(part: RemovedPart) -> bool:
    """Return True for limits on cores: few crashes have one, so they are always planned, whatever the totals."""
    return part is RemovedPart.CORE
