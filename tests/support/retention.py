"""A retention limit for tests."""

from collections.abc import Iterable, Iterator

from astbtd.store.retention.limits import Conditions, Limit
from astbtd.store.retention.removal_plan import RemovalPlan
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash


class OldestRecord(Limit):
    """A limit that removes the oldest record. It declares nothing that saves reading, as a new limit might."""

    parts = (RemovedPart.RECORD,)
    reason = "the oldest"

    @classmethod
    def configured(cls, _: Conditions) -> Iterator[Limit]:
        yield cls()

    def find_excess(self, plan: RemovalPlan) -> Iterable[tuple[StoredCrash, RemovedPart]]:
        *_, oldest = plan.crashes_with(RemovedPart.RECORD)
        yield oldest, RemovedPart.RECORD
