"""What the daemon remembers of its store for the status line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.store.retention import apply
from astbtd.store.retention.policy import Removal, RemovedPart
from astbtd.store.store import Store
from tests.support.builders import crash


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    for minutes in (1, 2):
        store.commit(store.stage(crash(minutes).id), crash(minutes))
    return store


@pytest.fixture
def ledger(store: Store) -> StoreStatistics:
    ledger = StoreStatistics(store)
    ledger.count()
    return ledger


LATER = datetime.now(UTC) + timedelta(days=1)
"""After the count."""


def test_it_counts_what_is_there(ledger: StoreStatistics, store: Store) -> None:
    assert ledger.last == crash(2)
    assert ledger.stock.numbers[RemovedPart.RECORD] == 2
    assert ledger.stock.size == sum(store.size(crash_id) for crash_id in store.ids())


def test_a_new_crash_is_counted(ledger: StoreStatistics, store: Store) -> None:
    new = crash(3, collected_at=LATER)
    store.commit(store.stage(new.id), new)

    ledger.add(new)

    assert ledger.stock == apply.stock(store)
    assert ledger.last == new


def test_a_crash_that_was_recorded_before_the_count_is_not_counted_again(ledger: StoreStatistics) -> None:
    ledger.add(crash(2))

    assert ledger.stock.numbers[RemovedPart.RECORD] == 2


def test_after_the_clock_was_set_back_crashes_are_counted_all_the_same(ledger: StoreStatistics, store: Store) -> None:
    store.commit(store.stage(crash(3).id), crash(3))

    ledger.add(crash(3))

    assert ledger.stock == apply.stock(store)


def test_what_was_removed_with_its_record_is_no_longer_counted(ledger: StoreStatistics, store: Store) -> None:
    store.remove(crash(1).id)

    ledger.lose([Removal(crash(1).id, RemovedPart.RECORD, 1000, "too old")])

    assert ledger.stock == apply.stock(store)


def test_cores_that_were_removed_are_no_longer_counted(ledger: StoreStatistics, store: Store) -> None:
    store.kept_core(crash(1).id).write_bytes(bytes(1000))
    ledger.count()

    store.kept_core(crash(1).id).unlink()
    ledger.lose([Removal(crash(1).id, RemovedPart.CORE, 1000, "too old")])

    assert ledger.stock == apply.stock(store)


def test_an_older_crash_processed_later_is_not_the_last(ledger: StoreStatistics) -> None:
    ledger.add(crash(0))

    assert ledger.last == crash(2)


def test_a_failure_is_news_once_and_gone_when_it_goes_right(ledger: StoreStatistics) -> None:
    assert ledger.fail("retention", "no room")
    assert not ledger.fail("retention", "no room")
    assert ledger.failures == ("no room",)

    ledger.succeed("retention")

    assert not ledger.failures
    assert ledger.fail("retention", "no room")


def test_another_reason_is_news_and_takes_the_place_of_the_first(ledger: StoreStatistics) -> None:
    ledger.fail("retention", "no room")

    assert ledger.fail("retention", "no store")
    assert ledger.failures == ("no store",)


def test_a_core_that_goes_right_is_no_failure_any_more(ledger: StoreStatistics) -> None:
    ledger.fail(crash(1).core.path, "gdb is not installed")

    ledger.add(crash(1))

    assert not ledger.failures
