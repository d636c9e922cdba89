"""Retention on a store: what is taken is gone in one step, what is kept is whole, and every run finishes the last."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files
from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention import apply as retention
from astbtd.store.retention.policy import Removal, RemovedPart, StoredCrash
from astbtd.store.store import Store
from tests.support.builders import NOON, crash

LATER = NOON + timedelta(days=1)
ONE, TWO = crash(1).id, crash(2).id
NO_LIMITS = RetentionSettings(Limits(), Limits(), Limits(), 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two crashes, the cores of both kept."""
    store = Store(tmp_path)
    store.prepare()
    for minutes in (1, 2):
        keep(store, crash(minutes))
    store.point_latest()
    return store


def keep(store: Store, one: Crash) -> None:
    staged = store.stage(one.id)
    for name in ("report.txt", "backtrace.txt"):
        (staged / name).write_bytes(bytes(50))
    (staged / KEPT_CORE_FILE).write_bytes(bytes(1000))
    store.commit(staged, one)


def remove(store: Store, *wanted: tuple[str, RemovedPart], at: datetime = LATER) -> list[str]:
    """Carries such a plan out; returns the ids of the crashes from which something was taken."""
    removed: list[str] = []
    removals = [Removal(crash_id, what, 0, "") for crash_id, what in wanted]
    retention.carry_out(store, removals, at, lambda removal: removed.append(removal.id))
    return removed


def stored_files(store: Store, crash_id: str) -> list[str]:
    return sorted(os.listdir(store.directory(crash_id)))


def apply(store: Store, limits: RetentionSettings) -> Sequence[Removal]:
    removals = retention.planned(store, limits, None)
    retention.carry_out(store, removals, LATER, lambda _: None)
    return removals


def test_what_a_store_holds(store: Store) -> None:
    newest, oldest = retention.holdings(store)

    assert [newest.id, oldest.id] == store.ids()
    record = (store.directory(TWO) / RECORD_FILE).stat().st_size
    assert newest == StoredCrash(
        TWO, crash(2).crashed_at, crash(2).collected_at, crash(2).signature.id, 1000, 100, record
    )
    assert newest.core + newest.texts + newest.record == store.size(TWO)


def test_an_empty_store_holds_nothing(tmp_path: Path) -> None:
    assert retention.planned(Store(tmp_path / "absent"), RetentionSettings(), LATER) == ()


def test_the_disk_is_that_of_the_store(store: Store) -> None:
    limits = replace(NO_LIMITS, minimum_free=0.0)

    assert retention.planned(store, limits, LATER) == ()
    assert retention.planned(store, limits, LATER, needed=1 << 80) == ()


def test_removing_a_core_leaves_the_texts_and_a_record_that_says_so(store: Store) -> None:
    assert remove(store, (ONE, RemovedPart.CORE)) == [ONE]

    assert stored_files(store, ONE) == ["backtrace.txt", RECORD_FILE, "report.txt"]
    core = crash(1).core
    assert store.load(ONE) == replace(crash(1), core=replace(core, state=CoreState.REMOVED, removed_at=LATER))


def test_removing_the_texts_leaves_a_record_that_says_so(store: Store) -> None:
    remove(store, (ONE, RemovedPart.CORE))
    remove(store, (ONE, RemovedPart.TEXT), at=LATER + timedelta(days=1))

    assert stored_files(store, ONE) == [RECORD_FILE]
    thinned = store.load(ONE)
    assert (thinned.core.removed_at, thinned.texts_removed_at) == (LATER, LATER + timedelta(days=1))


def test_texts_take_the_core_with_them(store: Store) -> None:
    remove(store, (ONE, RemovedPart.TEXT))

    assert stored_files(store, ONE) == [RECORD_FILE]
    thinned = store.load(ONE)
    assert thinned.core.state is CoreState.REMOVED
    assert thinned.core.removed_at == thinned.texts_removed_at == LATER


def test_a_core_that_was_left_where_it_was_is_still_left_there_when_the_texts_go(store: Store) -> None:
    keep(store, crash(3, state=CoreState.LEFT))
    (store.kept_core(crash(3).id)).unlink()

    remove(store, (crash(3).id, RemovedPart.TEXT))

    assert store.load(crash(3).id).core == crash(3, state=CoreState.LEFT).core


def test_forgetting_a_crash_moves_latest_if_it_led_there(store: Store) -> None:
    assert remove(store, (TWO, RemovedPart.RECORD)) == [TWO]

    assert store.ids() == [ONE]
    assert (store.root / "latest").readlink() == Path("crashes") / ONE
    assert os.listdir(store.incoming) == ["new", "changes"]


def test_a_crash_that_is_forgotten_was_seen_all_the_same(store: Store) -> None:
    store.mark_seen(crash(1).core.identity)

    remove(store, (ONE, RemovedPart.RECORD))

    assert crash(1).core.identity in store.seen()


@pytest.mark.parametrize("what", RemovedPart)
def test_what_was_pinned_since_the_plan_was_made_stays(store: Store, what: RemovedPart) -> None:
    store.change(ONE, lambda one: replace(one, pinned=True))

    assert remove(store, (ONE, what), (TWO, what)) == [TWO]
    assert stored_files(store, ONE) == ["backtrace.txt", KEPT_CORE_FILE, RECORD_FILE, "report.txt"]
    assert store.load(ONE) == replace(crash(1), pinned=True)


@pytest.mark.parametrize("what", RemovedPart)
def test_what_another_run_removed_meanwhile_is_passed_over(store: Store, what: RemovedPart) -> None:
    assert remove(store, (ONE, what)) == [ONE]
    assert remove(store, (ONE, what), (TWO, what)) == [TWO]


@pytest.mark.parametrize("what", RemovedPart)
def test_a_run_may_be_stopped_after_any_removal(store: Store, what: RemovedPart) -> None:
    def stop(_: Removal) -> None:
        raise AstbtdError("stopped")

    with pytest.raises(AstbtdError, match="stopped"):
        retention.carry_out(store, [Removal(TWO, what, 0, ""), Removal(ONE, what, 0, "")], LATER, stop)

    assert store.load(ONE) == crash(1)
    assert (store.root / "latest").exists()


def test_pinned_crashes_and_those_in_work_are_not_to_be_touched(store: Store) -> None:
    keep(store, crash(3, state=CoreState.CLAIMED))
    store.change(ONE, lambda one: replace(one, pinned=True))

    removals = apply(store, RetentionSettings(Limits(), Limits(), Limits(count=0), 0))

    assert [removal.id for removal in removals] == [TWO]
    assert store.ids() == [crash(3).id, ONE]


def test_a_core_that_is_just_being_written_counts_for_nothing(store: Store) -> None:
    before = list(retention.holdings(store))
    (store.directory(ONE) / f".{KEPT_CORE_FILE}.new").write_bytes(bytes(1 << 20))

    assert list(retention.holdings(store)) == before


def test_a_core_whose_removal_was_interrupted_is_removed_by_the_next_run(store: Store) -> None:
    core = replace(crash(1).core, state=CoreState.REMOVED, removed_at=NOON)
    store.change(ONE, lambda one: replace(one, core=core))

    removals = apply(store, NO_LIMITS)

    assert [(removal.id, removal.what) for removal in removals] == [(ONE, RemovedPart.CORE)]
    assert stored_files(store, ONE) == ["backtrace.txt", RECORD_FILE, "report.txt"]
    assert store.load(ONE).core.removed_at == NOON


def test_texts_whose_removal_was_interrupted_are_removed_by_the_next_run(store: Store) -> None:
    store.change(ONE, lambda one: replace(one, texts_removed_at=NOON))
    (store.directory(ONE) / "backtrace.txt").unlink()

    removals = apply(store, NO_LIMITS)

    assert [(removal.id, removal.what) for removal in removals] == [(ONE, RemovedPart.TEXT)]
    assert stored_files(store, ONE) == [RECORD_FILE]
    assert store.load(ONE).texts_removed_at == NOON


def test_a_crash_whose_removal_was_interrupted_is_gone_after_the_next_run(store: Store) -> None:
    store.directory(ONE).rename(store.incoming / f"{ONE}.removed")

    apply(store, NO_LIMITS)

    assert store.ids() == [TWO]
    assert list(store.incoming.glob(f"{ONE}*")) == []


def test_on_a_disk_that_takes_not_even_a_record_what_goes_makes_the_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = files.replace

    def full(path: Path, *arguments: object, **options: object) -> None:
        if store.kept_core(ONE).exists():
            raise NoRoom("the disk is full")
        replace_file(path, *arguments, **options)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr(files, "replace", full)

    assert remove(store, (ONE, RemovedPart.CORE)) == [ONE]
    assert store.load(ONE).core.state is CoreState.REMOVED
    assert KEPT_CORE_FILE not in stored_files(store, ONE)


@pytest.mark.parametrize("text", ["{", '{"id": 5}'])
def test_a_damaged_record_ages_by_its_id_and_goes_like_any_other(store: Store, text: str) -> None:
    (store.directory(ONE) / RECORD_FILE).write_text(text)
    damaged = next(each for each in retention.holdings(store) if each.id == ONE)
    assert damaged.crashed_at == damaged.collected_at == crash(1).crashed_at

    assert remove(store, (ONE, RemovedPart.TEXT)) == [ONE]
    assert stored_files(store, ONE) == [RECORD_FILE]
    assert remove(store, (ONE, RemovedPart.RECORD)) == [ONE]
    assert store.ids() == [TWO]


def test_a_crash_that_vanishes_while_the_store_is_read_is_not_held(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "ids", lambda _: [crash(3).id, TWO, ONE])

    assert [each.id for each in retention.holdings(store)] == [TWO, ONE]


def test_what_was_collected_by_a_wrong_clock_is_aged_from_when_it_was_set(store: Store) -> None:
    wrong = NOON - timedelta(minutes=1), NOON + timedelta(days=1)

    retention.begin_aging(store, wrong, LATER)

    assert {holding.collected_at for holding in retention.holdings(store)} == {LATER}
    assert {crash.collected_at for crash in store.crashes()} != {LATER}


def test_what_was_collected_by_a_clock_that_was_right_keeps_its_age(store: Store) -> None:
    before = list(retention.holdings(store))

    retention.begin_aging(store, (NOON - timedelta(days=2), NOON - timedelta(days=1)), LATER)

    assert list(retention.holdings(store)) == before
