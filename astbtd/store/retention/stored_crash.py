"""What the store holds, as retention looks at it: the parts of each crash and their sizes, and totals."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class RemovedPart(StrEnum):
    """A part of a crash that retention can remove. Each part includes the ones before it."""

    CORE = "core"
    TEXT = "text"
    RECORD = "record"

    @property
    def included(self) -> "tuple[RemovedPart, ...]":
        """The parts that are removed with this one: itself, and those that must not outlive it."""
        parts = tuple(RemovedPart)
        return parts[: parts.index(self) + 1]


@dataclass(frozen=True, slots=True)
class StoredCrash:
    """What the store holds of one crash. Sizes are in bytes.

    Ages count from `collected_at`, or from the moment when a wrong clock was set. The order is that of `crashed_at`.
    `fixed`: nothing may be removed (pinned, or still being processed). `foreign`: it is not the PBX's, and has a quota
    of its own. `unfinished`: the part whose removal was
    interrupted. `site` identifies the program, its user and the exact place of the crash.
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
    foreign: bool = False
    site: str | None = None

    @property
    def group(self) -> str:
        """What crashes have in common that can replace one another: the site; the signature if the site is not known.

        A crash without both is a group of its own.
        """
        if self.site:
            return f"site {self.site}"
        return f"signature {self.signature}" if self.signature else f"crash {self.id}"

    def size(self, part: RemovedPart) -> int:
        """Return the size of one part in bytes."""
        if part is RemovedPart.CORE:
            return self.core
        return self.texts if part is RemovedPart.TEXT else self.record

    def has(self, part: RemovedPart) -> bool:
        """Return True if the part is stored. A record always is."""
        return part is RemovedPart.RECORD or self.size(part) > 0


@dataclass(frozen=True)
class StoreTotals:
    """Totals over a whole store, for each part: the number of crashes that have it, and its size in bytes."""

    numbers: Counter[RemovedPart] = field(default_factory=Counter)
    sizes: Counter[RemovedPart] = field(default_factory=Counter)

    @classmethod
    def from_part_sizes(cls, crashes: Iterable[Mapping[RemovedPart, int]]) -> "StoreTotals":
        """Add up the part sizes of each crash, in bytes. A record counts even if its size is 0."""
        numbers: Counter[RemovedPart] = Counter()
        sizes: Counter[RemovedPart] = Counter()
        for part_sizes in crashes:
            for part, size in part_sizes.items():
                numbers[part] += size > 0 or part is RemovedPart.RECORD
                sizes[part] += size
        return cls(numbers, sizes)

    def __add__(self, more: "StoreTotals") -> "StoreTotals":
        return StoreTotals(self.numbers + more.numbers, self.sizes + more.sizes)

    def __sub__(self, less: "StoreTotals") -> "StoreTotals":
        return StoreTotals(self.numbers - less.numbers, self.sizes - less.sizes)

    @property
    def size(self) -> int:
        """The size of everything in bytes."""
        return sum(self.sizes.values())
