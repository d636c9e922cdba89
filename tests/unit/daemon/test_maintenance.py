"""What the daemon does between two cores: after a crash little, on its timer everything."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, Crash
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.outline import RetentionFields
from astbtd.store.retention.policy import RemovedPart
from astbtd.store.store import Store
from tests.support.builders import crash

NO_LIMITS = RetentionSettings(Limits(), Limits(), Limits(), 0)
LATER = datetime.now(UTC) + timedelta(days=1)
"""After whatever is counted here."""


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that the journal would have got."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The crashes whose records were read for retention."""
    ids: list[str] = []
    upkeep = Store.upkeep

    def noting(store: Store, crash_id: str) -> RetentionFields:
        ids.append(crash_id)
        return upkeep(store, crash_id)

    monkeypatch.setattr(Store, "upkeep", noting)
    return ids


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with four crashes, of which the second and the third have cores."""
    store = Store(tmp_path)
    store.prepare()
    store.no_longer_new()
    for minutes in (1, 2, 3, 4):
        add(store, crash(minutes), with_core=minutes in (2, 3))
    return store


def add(store: Store, one: Crash, *, with_core: bool) -> Crash:
    staged = store.stage(one.id)
    (staged / REPORT_FILE).write_bytes(bytes(50))
    if with_core:
        (staged / KEPT_CORE_FILE).write_bytes(bytes(1000))
    store.commit(staged, one)
    return one


def housekeeping(store: Store, limits: RetentionSettings) -> tuple[Maintenance, StoreStatistics]:
    """Of a daemon that has just started, the first run done."""
    ledger = StoreStatistics(store)
    started = Maintenance(store, NO_LIMITS, ledger, lambda: None)
    started.run(idle=True)
    return Maintenance(store, limits, ledger, lambda: None), ledger


def with_cores(store: Store) -> list[str]:
    return list(filter(store.has_core, store.ids()))


def test_after_a_crash_cores_beyond_the_limit_go_and_no_other_records_are_read(
    store: Store, read: Sequence[str], sent: Sequence[str]
) -> None:
    house, ledger = housekeeping(store, replace(NO_LIMITS, cores=Limits(count=2)))
    new = add(store, crash(5, collected_at=LATER), with_core=True)
    read_before = len(read)

    house.collected(new)
    house.run(idle=True)

    assert with_cores(store) == [new.id, crash(2).id]
    assert sorted(read[read_before:]) == [crash(2).id, crash(3).id, new.id]
    assert len(sent) == 1
    assert ledger.stock.numbers[RemovedPart.CORE] == 2


def test_nothing_is_looked_at_when_nothing_has_come(store: Store, read: Sequence[str]) -> None:
    house, _ = housekeeping(store, NO_LIMITS)
    house.run(idle=True)
    read_before = len(read)

    house.run(idle=True)

    assert len(read) == read_before


def test_after_a_crash_in_a_loop_nothing_is_looked_at(store: Store, read: Sequence[str]) -> None:
    house, _ = housekeeping(store, NO_LIMITS)
    house.run(idle=True)
    brief = replace(crash(5), extraction=replace(crash(5).extraction, brief=True))
    add(store, brief, with_core=False)
    read_before = len(read)

    house.collected(brief)
    house.run(idle=True)

    assert len(read) == read_before


@pytest.mark.parametrize("limit", [Limits(count=4), Limits(size=220)])
def test_texts_of_which_a_crash_makes_too_much_go_without_waiting_for_the_timer(store: Store, limit: Limits) -> None:
    house, ledger = housekeeping(store, replace(NO_LIMITS, texts=limit))
    new = add(store, crash(5), with_core=False)
    ledger.count()

    house.collected(new)
    house.run(idle=True)

    assert not (store.directory(crash(2).id) / REPORT_FILE).exists()
    assert ledger.stock.numbers[RemovedPart.TEXT] == 4


def test_a_record_too_many_goes_without_waiting_for_the_timer(store: Store) -> None:
    house, ledger = housekeeping(store, replace(NO_LIMITS, records=Limits(count=4)))
    new = add(store, crash(5), with_core=False)
    ledger.count()

    house.collected(new)
    house.run(idle=True)

    assert len(store.ids()) == ledger.stock.numbers[RemovedPart.RECORD] == 4


def test_where_the_disk_is_short_everything_is_looked_at(store: Store) -> None:
    house, _ = housekeeping(store, replace(NO_LIMITS, minimum_free=1.0))

    house.run(idle=True)

    assert with_cores(store) == []


def test_on_the_timer_a_removal_that_was_interrupted_is_finished(store: Store) -> None:
    house, _ = housekeeping(store, NO_LIMITS)
    store.change(crash(1).id, lambda one: replace(one, texts_removed_at=one.crashed_at))

    house.all_is_due()
    house.run(idle=True)

    assert not (store.directory(crash(1).id) / REPORT_FILE).exists()


def test_room_is_made_by_removing_cores(store: Store) -> None:
    house, _ = housekeeping(store, replace(NO_LIMITS, minimum_free=1.0))

    house.make_room(1)

    assert with_cores(store) == []
