"""Plan which records a full store loses after a crash, with little memory.

A store that holds as many records as it may has one too many after each crash. policy.py would hold all of them in
memory to find it. Here they are read one by one: once to rank them, then, oldest first, until enough are found.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from astbtd.store.retention.limits import CountLimit
from astbtd.store.retention.planning import stored_crashes
from astbtd.store.retention.removal_order import Ranking, Value
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from astbtd.store.store import Store


def plan_excess_records(store: Store, limit: int | None, totals: StoreTotals) -> tuple[Removal, ...]:
    """Return the removals of records beyond the limit on their number, the same as the whole policy would plan.

    Return none if duplicates are not enough: then the whole policy has to decide.
    """
    if limit is None or totals.numbers[RemovedPart.RECORD] <= limit:
        return ()
    oldest_first = store.ids()
    oldest_first.reverse()
    ranking, excess = Ranking(), -limit
    for crash in stored_crashes(store, oldest_first):
        ranking.add(crash)
        excess += not crash.foreign
    reason = CountLimit(RemovedPart.RECORD, limit).reason
    chosen = tuple(islice(_duplicates(store, oldest_first, ranking), max(0, excess)))
    removals = tuple(Removal(crash.id, RemovedPart.RECORD, _size(crash), reason) for crash in chosen)
    return removals if len(removals) == excess else ()


def _duplicates(store: Store, oldest_first: Sequence[str], ranking: Ranking) -> Iterator[StoredCrash]:
    for crash in stored_crashes(store, oldest_first):
        if not crash.fixed and not crash.foreign and ranking.value(crash) is Value.DUPLICATE:
            yield crash


def _size(crash: StoredCrash) -> int:
    return sum(crash.size(part) for part in RemovedPart.RECORD.included)
