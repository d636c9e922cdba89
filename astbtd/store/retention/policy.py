"""Decides what retention removes: a pure plan over the stored crashes, the limits, the disk and the clock.

A crash has a core, texts and a record. Each part has its own limits. A part never outlives a larger one: a crash that
loses its texts loses its core too, and a crash that loses its record loses everything.

Age               Crashes older than the limit lose the part.
Number, size      While there are too many at one site, too many in all, or too much in all, the next in the
                  removal order loses the part. A part that exceeds the size limit by itself is removed alone.
Disk              While less than the minimum is free, the next core in the removal order is removed. Texts, and then
                  records, are removed only if that restores the minimum: a few texts do not free a disk that other
                  programs have filled.

Removal order, among the crashes that have the part, each step by crash time, oldest first:
1. duplicates, that is all but the first and the newest crash at each site, and crashes without a signature;
2. the first crash at each site, if it is not the newest; 3. the newest at each site, if its signature has a newer one;
4. the newest crash of each signature. These are removed last, but no limit is exceeded for them. Where the site is not
known, the signature takes its place. A pinned crash, or one that is still being processed, loses nothing, but counts
for every limit except the age.

limits.py has a class for each limit, and the list of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.store.retention import limits
from astbtd.store.retention.limits import Conditions, Limit
from astbtd.store.retention.removal_plan import Removal, RemovalPlan
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals


@dataclass(frozen=True)
class Policy:
    """The limits that one run enforces, and the crashes that it has to read for them."""

    limits: tuple[Limit, ...]
    deciding: tuple[Limit, ...]
    """Those of the limits for which crashes are read; the others are enforced on these crashes as well."""

    @classmethod
    def from_conditions(cls, conditions: Conditions) -> "Policy":
        """Return the policy of a run that reads everything."""
        kinds = (limit for kind in limits.LIMITS for limit in kind.configured(conditions))
        # Records first: a crash that loses its record needs no other removal. The disk last: the others free it, too.
        in_order = tuple(sorted(kinds, key=_rank))
        return cls(in_order, in_order)

    def narrow(self, totals: StoreTotals, *, after_crash: bool) -> "Policy":
        """Return the policy for a store with these totals; `after_crash`: nothing else changed since the last run.

        The plan is the same as that of the whole policy, except that after a crash, texts and records that are too old
        are left to the timer.
        """
        enforced = tuple(limit for limit in self.limits if limit.may_be_exceeded(totals))
        deciding = enforced
        if after_crash:
            deciding = tuple(limit for limit in enforced if limit.needs_reading_after_crash)
        return Policy(enforced, deciding)

    @property
    def needs_only_cores(self) -> bool:
        """True if only crashes with cores have to be read."""
        return all(limit.removes_only_cores for limit in self.deciding)

    def concerns(self, crash: StoredCrash) -> bool:
        """Return True if a crash makes a difference to a limit, and must be among those that `plan` is given."""
        return any(limit.concerns(crash) for limit in self.limits)

    def plan(self, stored: Sequence[StoredCrash]) -> tuple[Removal, ...]:
        """Return what must be removed, at most one removal for each crash: cores first, then texts, then records."""
        plan = RemovalPlan(stored)
        for limit in self.limits:
            for crash, part in limit.find_excess(plan):
                plan.remove(crash, part, limit.reason)
        return plan.removals()


def _rank(limit: Limit) -> int:
    """Order limits by the part that they remove, records first; limits on several parts come last."""
    if len(limit.parts) > 1:
        return len(RemovedPart)
    return -len(limit.parts[0].included)
