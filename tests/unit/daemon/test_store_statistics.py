"""The totals, newest crash and failures that the status line shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.store.retention.planning import count_store
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart
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
def statistics(store: Store) -> StoreStatistics:
    statistics = StoreStatistics(store)
    statistics.recount()
    return statistics


LATER = datetime.now(UTC) + timedelta(days=1)
"""After the count."""


def test_the_store_is_counted(statistics: StoreStatistics, store: Store) -> None:
    assert statistics.last == crash(2)
    assert statistics.totals.numbers[RemovedPart.RECORD] == 2
    assert statistics.totals.size == sum(store.size(crash_id) for crash_id in store.ids())


def test_a_new_crash_is_counted(statistics: StoreStatistics, store: Store) -> None:
    new = crash(3, collected_at=LATER)
    store.commit(store.stage(new.id), new)

    statistics.add_crash(new)

    assert statistics.totals == count_store(store)
    assert statistics.last == new


def test_a_crash_recorded_before_the_count_is_not_counted_twice(statistics: StoreStatistics) -> None:
    statistics.add_crash(crash(2))

    assert statistics.totals.numbers[RemovedPart.RECORD] == 2


def test_a_crash_is_counted_after_the_clock_was_set_back(statistics: StoreStatistics, store: Store) -> None:
    store.commit(store.stage(crash(3).id), crash(3))

    statistics.add_crash(crash(3))

    assert statistics.totals == count_store(store)


def test_a_removed_record_is_subtracted(statistics: StoreStatistics, store: Store) -> None:
    store.remove(crash(1).id)

    statistics.subtract([Removal(crash(1).id, RemovedPart.RECORD, 1000, "too old")])

    assert statistics.totals == count_store(store)


def test_removed_cores_are_subtracted(statistics: StoreStatistics, store: Store) -> None:
    store.kept_core(crash(1).id).write_bytes(bytes(1000))
    statistics.recount()

    store.kept_core(crash(1).id).unlink()
    statistics.subtract([Removal(crash(1).id, RemovedPart.CORE, 1000, "too old")])

    assert statistics.totals == count_store(store)


def test_an_older_crash_processed_later_is_not_the_newest(statistics: StoreStatistics) -> None:
    statistics.add_crash(crash(0))

    assert statistics.last == crash(2)


def test_the_newest_crash_is_shown_as_it_is_recorded_now(statistics: StoreStatistics) -> None:
    statistics.add_crash(crash(2))
    extracted_again = replace(crash(2), pinned=True)

    statistics.replace_last(replace(crash(1), pinned=True))
    statistics.replace_last(extracted_again)

    assert statistics.last == extracted_again


def test_a_failure_is_new_once_until_it_is_cleared(statistics: StoreStatistics) -> None:
    assert statistics.record_failure("retention", "no room")
    assert not statistics.record_failure("retention", "no room")
    assert statistics.failures == ("no room",)

    statistics.clear_failure("retention")

    assert not statistics.failures
    assert statistics.record_failure("retention", "no room")


def test_another_reason_is_new_and_replaces_the_first(statistics: StoreStatistics) -> None:
    statistics.record_failure("retention", "no room")

    assert statistics.record_failure("retention", "no store")
    assert statistics.failures == ("no store",)


def test_processing_a_core_clears_its_failure(statistics: StoreStatistics) -> None:
    statistics.record_failure(crash(1).core.path, "gdb is not installed")

    statistics.add_crash(crash(1))

    assert not statistics.failures
