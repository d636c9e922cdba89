"""Plans of what retention removes from a store, and what is read for them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, REPORT_FILE, CoreState
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention import limits
from astbtd.store.retention.planning import count_store, plan_removals, stored_crashes
from astbtd.store.retention.removal_plan import RemovalPlan
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, signature_of
from tests.support.retention import OldestRecord

LATER = NOON + timedelta(days=1)
OLDEST, WITH_CORE, NEWEST = crash(1).id, crash(2).id, crash(3).id
NO_LIMITS = RetentionSettings(Limits(), Limits(), Limits(), 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with three crashes. The second has a core."""
    store = Store(tmp_path)
    store.prepare()
    for minutes in (1, 2, 3):
        staged = store.stage(crash(minutes).id)
        (staged / REPORT_FILE).write_bytes(bytes(100))
        if minutes == 2:
            (staged / KEPT_CORE_FILE).write_bytes(bytes(1000))
        store.commit(staged, crash(minutes))
    return store


def test_what_the_store_holds_of_each_crash_is_found_newest_first(store: Store) -> None:
    newest, with_core, oldest = stored_crashes(store)

    assert [newest.id, with_core.id, oldest.id] == store.ids()
    record = (store.directory(WITH_CORE) / RECORD_FILE).stat().st_size
    expected = crash(2)
    assert with_core == StoredCrash(
        WITH_CORE,
        expected.crashed_at,
        expected.collected_at,
        signature_of(expected).id,
        1000,
        100,
        record,
        site=f"{'ab' * 20} 110 site of 0123456789ab",
    )
    assert with_core.core + with_core.texts + with_core.record == store.size(WITH_CORE)


def test_a_core_that_is_being_written_does_not_count(store: Store) -> None:
    before = list(stored_crashes(store))

    (store.directory(OLDEST) / f".{KEPT_CORE_FILE}.new").write_bytes(bytes(1 << 20))

    assert list(stored_crashes(store)) == before


def test_a_crash_that_is_removed_while_the_store_is_read_is_omitted(store: Store) -> None:
    ids = [crash(4).id, *store.ids()]

    assert [each.id for each in stored_crashes(store, ids)] == [NEWEST, WITH_CORE, OLDEST]


def test_a_damaged_record_is_dated_by_the_id(store: Store) -> None:
    (store.directory(OLDEST) / RECORD_FILE).write_text("{")

    *_, damaged = stored_crashes(store)

    assert damaged.crashed_at == damaged.collected_at == crash(1).crashed_at


def test_an_absent_store_has_nothing_to_remove(tmp_path: Path) -> None:
    assert plan_removals(Store(tmp_path / "absent"), RetentionSettings(), LATER) == ()


def test_the_disk_is_that_of_the_store(store: Store) -> None:
    assert plan_removals(store, NO_LIMITS, LATER) == ()
    assert plan_removals(store, NO_LIMITS, LATER, needed=1 << 80) == ()
    assert len(plan_removals(store, replace(NO_LIMITS, minimum_free=1.0), LATER)) >= 1


def test_after_a_crash_only_records_of_crashes_with_cores_are_read(store: Store, read: list[str]) -> None:
    plan_removals(store, RetentionSettings(), LATER, totals=count_store(store), after_crash=True)

    assert read == [WITH_CORE]


def test_after_a_crash_that_exceeds_the_number_of_texts_all_records_are_read(store: Store, read: list[str]) -> None:
    two_texts = replace(NO_LIMITS, texts=Limits(count=2))

    removals = plan_removals(store, two_texts, LATER, totals=count_store(store), after_crash=True)

    assert [(removal.id, removal.what) for removal in removals] == [(WITH_CORE, RemovedPart.TEXT)]
    assert read == [NEWEST, WITH_CORE, OLDEST]


def test_on_the_timer_only_crashes_that_a_limit_concerns_are_kept_in_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    monkeypatch.setattr(RemovalPlan, "__init__", recording_init(planned))

    plan_removals(store, RetentionSettings(), LATER, totals=count_store(store))

    assert planned == [WITH_CORE]


def recording_init(ids: list[str]) -> object:
    """A replacement of RemovalPlan.__init__ that records the crashes of the plan."""
    init = RemovalPlan.__init__

    def recording(plan: RemovalPlan, stored: list[StoredCrash]) -> None:
        ids.extend(crash.id for crash in stored)
        init(plan, stored)

    return recording


@pytest.mark.parametrize("totals", [None, StoreTotals()])
@pytest.mark.parametrize("after_crash", [False, True])
def test_a_limit_that_declares_nothing_is_enforced_by_every_plan(
    store: Store, monkeypatch: pytest.MonkeyPatch, totals: StoreTotals | None, *, after_crash: bool
) -> None:
    monkeypatch.setattr(limits, "LIMITS", (*limits.LIMITS, OldestRecord))

    removals = plan_removals(store, NO_LIMITS, LATER, totals=totals, after_crash=after_crash)

    assert [(removal.id, removal.what, removal.reason) for removal in removals] == [
        (OLDEST, RemovedPart.RECORD, "the oldest")
    ]


@pytest.mark.parametrize(
    ("state", "pinned"), [(CoreState.CLAIMED, False), (CoreState.KEPT, True)], ids=["claimed", "pinned"]
)
def test_pinned_and_unprocessed_crashes_are_fixed(store: Store, state: CoreState, *, pinned: bool) -> None:
    store.change(OLDEST, lambda one: replace(one, pinned=pinned, core=replace(one.core, state=state)))

    *_, oldest = stored_crashes(store)

    assert oldest.fixed
