"""Removals are carried out in one step for readers, and every run finishes an interrupted one."""

import errno
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
from astbtd.store.removed_records import RemovedRecords
from astbtd.store.retention.apply import carry_out, reset_age
from astbtd.store.retention.planning import plan_removals, stored_crashes
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart
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
    store.update_latest()
    return store


def keep(store: Store, one: Crash) -> None:
    staged = store.stage(one.id)
    for name in ("report.txt", "backtrace.txt"):
        (staged / name).write_bytes(bytes(50))
    (staged / KEPT_CORE_FILE).write_bytes(bytes(1000))
    store.commit(staged, one)


def remove(store: Store, *wanted: tuple[str, RemovedPart], at: datetime = LATER) -> list[str]:
    """Carry out such a plan; return the ids of the crashes that lost something."""
    removed: list[str] = []
    removals = [Removal(crash_id, what, 0, "") for crash_id, what in wanted]
    carry_out(store, removals, at, lambda removal: removed.append(removal.id))
    return removed


def removed_ids(store: Store) -> list[str]:
    return [each.id for each in RemovedRecords(store.root).after(0)]


def stored_files(store: Store, crash_id: str) -> list[str]:
    return sorted(os.listdir(store.directory(crash_id)))


def apply(store: Store, limits: RetentionSettings) -> Sequence[Removal]:
    removals = plan_removals(store, limits, None)
    carry_out(store, removals, LATER, lambda _: None)
    return removals


def test_removing_a_core_leaves_the_texts_and_updates_the_record(store: Store) -> None:
    assert remove(store, (ONE, RemovedPart.CORE)) == [ONE]

    assert stored_files(store, ONE) == ["backtrace.txt", RECORD_FILE, "report.txt"]
    core = crash(1).core
    assert store.load(ONE) == replace(crash(1), core=replace(core, state=CoreState.REMOVED, removed_at=LATER))


def test_removing_the_texts_updates_the_record(store: Store) -> None:
    remove(store, (ONE, RemovedPart.CORE))
    remove(store, (ONE, RemovedPart.TEXT), at=LATER + timedelta(days=1))

    assert stored_files(store, ONE) == [RECORD_FILE]
    thinned = store.load(ONE)
    assert (thinned.core.removed_at, thinned.texts_removed_at) == (LATER, LATER + timedelta(days=1))


def test_removing_the_texts_removes_the_core(store: Store) -> None:
    remove(store, (ONE, RemovedPart.TEXT))

    assert stored_files(store, ONE) == [RECORD_FILE]
    thinned = store.load(ONE)
    assert thinned.core.state is CoreState.REMOVED
    assert thinned.core.removed_at == thinned.texts_removed_at == LATER


def test_removing_the_texts_does_not_change_the_state_of_a_core_outside_the_store(store: Store) -> None:
    keep(store, crash(3, state=CoreState.LEFT))
    (store.kept_core(crash(3).id)).unlink()

    remove(store, (crash(3).id, RemovedPart.TEXT))

    assert store.load(crash(3).id).core == crash(3, state=CoreState.LEFT).core


def test_removing_the_newest_record_updates_the_latest_link(store: Store) -> None:
    assert remove(store, (TWO, RemovedPart.RECORD)) == [TWO]

    assert store.ids() == [ONE]
    assert (store.root / "latest").readlink() == Path("crashes") / ONE
    assert sorted(os.listdir(store.incoming)) == ["changes", "new"]


def test_the_identity_of_a_removed_crash_stays_in_the_list(store: Store) -> None:
    store.collected.add(crash(1).core.identity)

    remove(store, (ONE, RemovedPart.RECORD))

    assert crash(1).core.identity in store.collected.all()


@pytest.mark.parametrize("what", RemovedPart)
def test_a_crash_pinned_since_the_plan_was_made_is_skipped(store: Store, what: RemovedPart) -> None:
    store.change(ONE, lambda one: replace(one, pinned=True))

    assert remove(store, (ONE, what), (TWO, what)) == [TWO]
    assert stored_files(store, ONE) == ["backtrace.txt", KEPT_CORE_FILE, RECORD_FILE, "report.txt"]
    assert store.load(ONE) == replace(crash(1), pinned=True)


@pytest.mark.parametrize("what", RemovedPart)
def test_what_another_run_removed_meanwhile_is_skipped(store: Store, what: RemovedPart) -> None:
    assert remove(store, (ONE, what)) == [ONE]
    assert remove(store, (ONE, what), (TWO, what)) == [TWO]


@pytest.mark.parametrize("what", RemovedPart)
def test_a_run_can_be_stopped_after_any_removal(store: Store, what: RemovedPart) -> None:
    def stop(_: Removal) -> None:
        raise AstbtdError("stopped")

    with pytest.raises(AstbtdError, match="stopped"):
        carry_out(store, [Removal(TWO, what, 0, ""), Removal(ONE, what, 0, "")], LATER, stop)

    assert store.load(ONE) == crash(1)
    assert (store.root / "latest").exists()


def test_pinned_and_unprocessed_crashes_are_not_touched(store: Store) -> None:
    keep(store, crash(3, state=CoreState.CLAIMED))
    store.change(ONE, lambda one: replace(one, pinned=True))

    removals = apply(store, RetentionSettings(Limits(), Limits(), Limits(count=0), 0))

    assert [removal.id for removal in removals] == [TWO]
    assert store.ids() == [crash(3).id, ONE]


def test_the_next_run_removes_a_core_whose_removal_was_interrupted(store: Store) -> None:
    core = replace(crash(1).core, state=CoreState.REMOVED, removed_at=NOON)
    store.change(ONE, lambda one: replace(one, core=core))

    removals = apply(store, NO_LIMITS)

    assert [(removal.id, removal.what) for removal in removals] == [(ONE, RemovedPart.CORE)]
    assert stored_files(store, ONE) == ["backtrace.txt", RECORD_FILE, "report.txt"]
    assert store.load(ONE).core.removed_at == NOON


def test_the_next_run_removes_texts_whose_removal_was_interrupted(store: Store) -> None:
    store.change(ONE, lambda one: replace(one, texts_removed_at=NOON))
    (store.directory(ONE) / "backtrace.txt").unlink()

    removals = apply(store, NO_LIMITS)

    assert [(removal.id, removal.what) for removal in removals] == [(ONE, RemovedPart.TEXT)]
    assert stored_files(store, ONE) == [RECORD_FILE]
    assert store.load(ONE).texts_removed_at == NOON


def test_the_next_run_removes_a_crash_whose_removal_was_interrupted(store: Store) -> None:
    store.directory(ONE).rename(store.incoming / f"{ONE}.removed")

    apply(store, NO_LIMITS)

    assert store.ids() == [TWO]
    assert list(store.incoming.glob(f"{ONE}*")) == []


def test_on_a_full_disk_files_are_removed_before_the_record_is_written(
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
def test_a_crash_with_a_damaged_record_can_be_removed(store: Store, text: str) -> None:
    (store.directory(ONE) / RECORD_FILE).write_text(text)

    assert remove(store, (ONE, RemovedPart.TEXT)) == [ONE]
    assert stored_files(store, ONE) == [RECORD_FILE]
    assert remove(store, (ONE, RemovedPart.RECORD)) == [ONE]
    assert store.ids() == [TWO]


def test_ages_are_reset_for_crashes_collected_while_the_clock_was_wrong(store: Store) -> None:
    wrong = NOON - timedelta(minutes=1), NOON + timedelta(days=1)

    reset_age(store, wrong, LATER)

    assert {crash.collected_at for crash in stored_crashes(store)} == {LATER}
    assert {crash.collected_at for crash in store.crashes()} != {LATER}


def test_ages_are_kept_for_crashes_collected_while_the_clock_was_right(store: Store) -> None:
    before = list(stored_crashes(store))

    reset_age(store, (NOON - timedelta(days=2), NOON - timedelta(days=1)), LATER)

    assert list(stored_crashes(store)) == before


def test_a_removed_record_is_noted_and_a_removed_core_is_not(store: Store) -> None:
    remove(store, (ONE, RemovedPart.RECORD), (TWO, RemovedPart.CORE))

    assert removed_ids(store) == [ONE]


def test_on_a_full_disk_the_removal_makes_room_for_the_note(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append = files.append_line

    def fail_while_the_crash_is_there(path: Path, line: str, mode: int, group: int) -> None:
        if store.directory(ONE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, line, mode, group)

    monkeypatch.setattr(files, "append_line", fail_while_the_crash_is_there)

    assert remove(store, (ONE, RemovedPart.RECORD)) == [ONE]
    assert removed_ids(store) == [ONE]
