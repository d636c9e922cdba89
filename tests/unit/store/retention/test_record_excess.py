"""A full store: the records to remove after a crash are found one by one, and are those of the whole policy."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention import record_excess
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.limits import Conditions
from astbtd.store.retention.policy import Policy
from astbtd.store.retention.record_excess import plan_excess_records
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.stores import commit

CRASHES = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=12,
)


def stored(made: list[tuple[str | None, str | None, bool, bool]]) -> list[StoredCrash]:
    """Return crashes with these signatures and sites, oldest first, that may be pinned and foreign."""
    return [
        StoredCrash(f"{number:02}", NOON, NOON, signature, 0, 0, 10, fixed=pinned, foreign=foreign, site=site)
        for number, (signature, site, pinned, foreign) in enumerate(made)
    ]


def whole_plan(crashes: list[StoredCrash], limit: int) -> tuple[Removal, ...]:
    only_records = RetentionSettings(Limits(), Limits(), Limits(count=limit), 0)
    return Policy.from_conditions(Conditions(only_records, Disk(1, 1), None)).plan(crashes)


def excess(crashes: list[StoredCrash], limit: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Removal, ...]:
    by_id = {each.id: each for each in crashes}
    store = Store.__new__(Store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "ids", lambda _: sorted(by_id, reverse=True))
        patch.setattr(record_excess, "stored_crashes", lambda _, ids: (by_id[each] for each in ids))
        totals = StoreTotals.from_part_sizes({RemovedPart.RECORD: each.record} for each in crashes)
        return plan_excess_records(store, limit, totals)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CRASHES, st.integers(1, 12))
def test_the_plan_is_that_of_the_whole_policy_or_left_to_it(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[str | None, str | None, bool, bool]], limit: int
) -> None:
    crashes = stored(made)

    planned = excess(crashes, limit, monkeypatch)

    assert planned in ((), whole_plan(crashes, limit))


def test_the_oldest_duplicate_is_removed_from_a_store_that_is_full(store: Store) -> None:
    made = [crash(number, pid=number) for number in (1, 2, 3, 4)]
    commit(store, *made)
    totals = StoreTotals.from_part_sizes([{RemovedPart.RECORD: 1}] * 4)

    (removal,) = plan_excess_records(store, 3, totals)

    assert (removal.id, removal.what, removal.reason) == (made[1].id, RemovedPart.RECORD, "more than 3 in all")
    assert removal.bytes == store.size(made[1].id)


@pytest.mark.parametrize("limit", [None, 4, 5])
def test_nothing_is_read_of_a_store_that_is_not_full(store: Store, limit: int | None) -> None:
    totals = StoreTotals.from_part_sizes([{RemovedPart.RECORD: 1}] * 4)

    assert plan_excess_records(store, limit, totals) == ()


def test_what_only_the_whole_policy_can_decide_is_left_to_it(store: Store) -> None:
    for number in (1, 2):
        commit(store, replace(crash(number, pid=number), pinned=True))
    totals = StoreTotals.from_part_sizes([{RemovedPart.RECORD: 1}] * 2)

    assert plan_excess_records(store, 1, totals) == ()
