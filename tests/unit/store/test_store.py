"""The store: a crash is complete or absent, and its record can be read and changed."""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.errors import AstbtdError
from astbtd.model.crash import OBJECTS_SUFFIX, RECORD_FILE
from astbtd.store.store import DamagedRecord, Store
from tests.support.builders import crash
from tests.support.stores import commit, process


def latest(store: Store) -> Path:
    return (store.root / "latest").readlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_stored_crash_is_read_back(store: Store) -> None:
    commit(store, crash())

    assert store.load(crash().id) == crash()


def test_a_crash_is_invisible_until_it_is_committed(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "backtrace.txt").write_text("#0 main ()")
    assert store.ids() == []

    directory = store.commit(staged, crash())

    assert store.ids() == [crash().id]
    assert sorted(os.listdir(directory)) == ["backtrace.txt", RECORD_FILE]
    assert not staged.exists()


def test_staging_removes_what_an_earlier_attempt_left(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "backtrace.txt").write_text("half")
    (staged.with_name(f"{staged.name}{OBJECTS_SUFFIX}") / "usr").mkdir(parents=True)

    assert os.listdir(store.stage(crash().id)) == []
    assert list(store.incoming.glob(f"{staged.name}*")) == [staged]


def test_only_owner_and_group_can_read(store: Store) -> None:
    commit(store, crash())

    assert [mode_of(path) for path in (store.root, store.directory(crash().id))] == [0o750, 0o750]
    assert mode_of(store.directory(crash().id) / RECORD_FILE) == 0o640
    assert mode_of(store.incoming) == 0o700


def test_prepare_corrects_the_modes(store: Store) -> None:
    store.root.chmod(0o777)
    store.incoming.chmod(0o755)

    store.prepare()

    assert (mode_of(store.root), mode_of(store.incoming)) == (0o750, 0o700)


def test_a_store_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(AstbtdError, match="cannot use the store"):
        Store(tmp_path / "file").prepare()


def test_a_store_is_new_until_it_is_marked_initialized(store: Store) -> None:
    store.prepare()
    assert store.is_new

    store.mark_initialized()
    store.prepare()

    assert not store.is_new


def test_the_lock_excludes_a_second_daemon(store: Store) -> None:
    with store.lock(), pytest.raises(AstbtdError, match="another astbtd runs"), store.lock():
        pass
    with store.lock():
        pass


def test_ids_are_newest_first_and_other_directories_are_ignored(store: Store) -> None:
    commit(store, crash(1), crash(3), crash(2))
    (store.root / "crashes" / "lost+found").mkdir()

    assert store.ids() == [crash(3).id, crash(2).id, crash(1).id]
    assert [each.id for each in store.crashes()] == store.ids()


def test_an_absent_store_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "absent").ids() == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"id": 5}', "\xff", '{"schema": 1}'],
)
def test_a_damaged_record_is_an_error_and_is_skipped_in_lists(store: Store, text: str) -> None:
    commit(store, crash(1), crash(2))
    (store.directory(crash(2).id) / RECORD_FILE).write_text(text, encoding="latin-1")

    assert [each.id for each in store.crashes()] == [crash(1).id]
    with pytest.raises(DamagedRecord, match=RECORD_FILE):
        store.load(crash(2).id)


def test_a_missing_record_is_damaged(store: Store) -> None:
    with pytest.raises(DamagedRecord):
        store.load(crash().id)


def test_a_record_of_a_later_version_is_read(store: Store) -> None:
    commit(store, crash())
    record = store.directory(crash().id) / RECORD_FILE
    record.write_text(json.dumps({**json.loads(record.read_text()), "colour": "red"}))

    assert store.load(crash().id) == crash()


def test_a_change_replaces_the_record_and_leaves_no_other_file(store: Store) -> None:
    commit(store, crash())

    changed = store.change(crash().id, lambda stored: replace(stored, pinned=True))

    assert changed == store.load(crash().id) == replace(crash(), pinned=True)
    assert os.listdir(store.directory(crash().id)) == [RECORD_FILE]


def test_a_name_that_is_not_unicode_can_be_stored(store: Store) -> None:
    strange = crash()
    strange = replace(strange, core=replace(strange.core, path="/srv/core\udcff"))

    commit(store, strange)

    assert store.load(strange.id).core.path == "/srv/core?"


def test_a_crash_is_removed_with_all_its_files(store: Store) -> None:
    commit(store, crash(1), crash(2))

    store.remove(crash(1).id)

    assert store.ids() == [crash(2).id]
    assert os.listdir(store.incoming) == ["new"]


@limits(max_examples=30)
@given(order=st.permutations(range(5)))
def test_latest_always_points_to_the_newest_crash(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    for count, minutes in enumerate(order, 1):
        process(store, crash(minutes))
        newest = max(order[:count])

        assert latest(store) == Path("crashes") / crash(newest).id


def test_latest_points_to_an_existing_crash_or_is_absent(store: Store) -> None:
    process(store, crash(1))
    process(store, crash(2))
    store.remove(crash(2).id)
    store.update_latest()
    assert (store.root / "latest" / RECORD_FILE).exists()

    store.remove(crash(1).id)
    store.update_latest()

    assert not (store.root / "latest").is_symlink()


def test_the_size_of_a_crash_is_that_of_its_files(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "backtrace.txt").write_bytes(bytes(1000))
    directory = store.commit(staged, crash())

    assert store.size(crash().id) == 1000 + (directory / RECORD_FILE).stat().st_size
    assert store.size(crash(1).id) == 0
