"""The maintenance of the daemon: after a crash it reads little, on the timer everything."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.cli.main import main
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, CoreState, Crash
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention import limits
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.retention import OldestRecord

NO_LIMITS = RetentionSettings(Limits(), Limits(), Limits(), 0)
LATER = datetime.now(UTC) + timedelta(days=1)
"""Later than every count in these tests."""


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with four crashes. The second and the third have cores."""
    store = Store(tmp_path / "store")
    store.prepare()
    store.mark_initialized()
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


def start(store: Store, limits: RetentionSettings) -> tuple[Maintenance, StoreStatistics]:
    """Return the maintenance of a daemon that has just started and has done its first run."""
    statistics = StoreStatistics(store)
    first = Maintenance(store, NO_LIMITS, statistics, lambda: None)
    first.run(idle=True)
    return Maintenance(store, limits, statistics, lambda: None), statistics


def with_cores(store: Store) -> list[str]:
    return list(filter(store.has_core, store.ids()))


def test_after_a_crash_excess_cores_are_removed_and_no_other_records_are_read(
    store: Store, read: Sequence[str], sent: Sequence[str]
) -> None:
    maintenance, statistics = start(store, replace(NO_LIMITS, cores=Limits(count=2)))
    new = add(store, crash(5, collected_at=LATER), with_core=True)
    read_before = len(read)

    maintenance.record_crash(new)
    maintenance.run(idle=True)

    assert with_cores(store) == [new.id, crash(2).id]
    assert sorted(read[read_before:]) == [crash(2).id, crash(3).id, new.id]
    assert len(sent) == 1
    assert statistics.totals.numbers[RemovedPart.CORE] == 2


def test_nothing_is_read_if_no_crash_was_recorded(store: Store, read: Sequence[str]) -> None:
    maintenance, _ = start(store, NO_LIMITS)
    maintenance.run(idle=True)
    read_before = len(read)

    maintenance.run(idle=True)

    assert len(read) == read_before


def test_nothing_is_read_after_a_crash_of_a_loop(store: Store, read: Sequence[str]) -> None:
    maintenance, _ = start(store, NO_LIMITS)
    maintenance.run(idle=True)
    brief = replace(crash(5), extraction=replace(crash(5).extraction, brief=True))
    add(store, brief, with_core=False)
    read_before = len(read)

    maintenance.record_crash(brief)
    maintenance.run(idle=True)

    assert len(read) == read_before


@pytest.mark.parametrize("limit", [Limits(count=4), Limits(size=220)])
def test_excess_texts_are_removed_after_a_crash(store: Store, limit: Limits) -> None:
    maintenance, statistics = start(store, replace(NO_LIMITS, texts=limit))
    new = add(store, crash(5), with_core=False)
    statistics.recount()

    maintenance.record_crash(new)
    maintenance.run(idle=True)

    assert not (store.directory(crash(2).id) / REPORT_FILE).exists()
    assert statistics.totals.numbers[RemovedPart.TEXT] == 4


def test_an_excess_record_is_removed_after_a_crash(store: Store) -> None:
    maintenance, statistics = start(store, replace(NO_LIMITS, records=Limits(count=4)))
    new = add(store, crash(5), with_core=False)
    statistics.recount()

    maintenance.record_crash(new)
    maintenance.run(idle=True)

    assert len(store.ids()) == statistics.totals.numbers[RemovedPart.RECORD] == 4


def test_cores_are_removed_if_the_disk_is_short(store: Store) -> None:
    maintenance, _ = start(store, replace(NO_LIMITS, minimum_free=1.0))

    maintenance.run(idle=True)

    assert with_cores(store) == []


def test_the_timer_finishes_an_interrupted_removal(store: Store) -> None:
    maintenance, _ = start(store, NO_LIMITS)
    store.change(crash(1).id, lambda one: replace(one, texts_removed_at=one.crashed_at))

    maintenance.mark_full_run()
    maintenance.run(idle=True)

    assert not (store.directory(crash(1).id) / REPORT_FILE).exists()


def test_make_room_removes_cores(store: Store) -> None:
    maintenance, _ = start(store, replace(NO_LIMITS, minimum_free=1.0))

    maintenance.make_room(1)

    assert with_cores(store) == []


def test_a_hundred_crashes_of_a_loop_make_retention_overdue(store: Store) -> None:
    maintenance, _ = start(store, NO_LIMITS)
    brief = replace(crash(5), extraction=replace(crash(5).extraction, brief=True))

    for _ in range(99):
        maintenance.record_crash(brief)
    assert not maintenance.is_overdue

    maintenance.record_crash(brief)
    assert maintenance.is_overdue


def run_prune_command(store: Store, _: Maintenance) -> None:
    configuration = store.root.with_name("astbtd.yaml")
    configuration.write_text(f"store: {store.root}\nretention: {{minimum_free: 0%}}\n")
    configuration.chmod(0o644)
    assert main(["--config", str(configuration), "prune"]) == 0


def run_on_timer(_: Store, maintenance: Maintenance) -> None:
    maintenance.mark_full_run()
    maintenance.run(idle=True)


def run_after_crash(store: Store, maintenance: Maintenance) -> None:
    maintenance.record_crash(store.load(crash(4).id))
    maintenance.run(idle=True)


@pytest.mark.parametrize("caller", [run_prune_command, run_on_timer, run_after_crash])
def test_a_limit_added_in_one_place_is_enforced_by_every_caller(
    store: Store, monkeypatch: pytest.MonkeyPatch, caller: Callable[[Store, Maintenance], None]
) -> None:
    maintenance, _ = start(store, NO_LIMITS)
    maintenance.run(idle=True)
    assert len(store.ids()) == 4

    monkeypatch.setattr(limits, "LIMITS", (*limits.LIMITS, OldestRecord))
    caller(store, maintenance)

    assert store.ids() == [crash(4).id, crash(3).id, crash(2).id]


def test_a_core_that_is_empty_at_the_start_is_recorded_as_lost(store: Store, sent: list[str]) -> None:
    empty, kept = with_cores(store)
    (store.directory(empty) / KEPT_CORE_FILE).write_bytes(b"")

    start(store, NO_LIMITS)

    assert with_cores(store) == [kept]
    assert store.load(empty).core.state is CoreState.LOST
    assert sent == [f"the kept core of crash {empty} is empty: recorded as lost"]
