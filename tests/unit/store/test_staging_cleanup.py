"""Leftovers of killed processes are removed."""

import os

from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE
from astbtd.store.staging_cleanup import remove_leftovers
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.stores import commit


def test_leftovers_without_a_claim_are_removed(store: Store) -> None:
    claimed, forgotten = crash(1).id, crash(2).id
    for name in (claimed, f"{claimed}.objects", forgotten, f"{forgotten}.objects", f"{forgotten}.removed"):
        (store.incoming / name).mkdir()
    left = (f"{claimed}.claim", f"{claimed}.core", f"{forgotten}.core", f"{forgotten}.packed.core", ".unnumbered.new")
    for name in left:
        (store.incoming / name).touch()

    remove_leftovers(store, lambda: {claimed})

    kept = [claimed, f"{claimed}.claim", f"{claimed}.core", f"{claimed}.objects", "new"]
    assert sorted(os.listdir(store.incoming)) == kept


def test_temporary_files_in_crashes_are_removed(store: Store) -> None:
    commit(store, crash())
    for name in (f".{RECORD_FILE}.new", f".{KEPT_CORE_FILE}.new", "backtrace.txt"):
        (store.directory(crash().id) / name).touch()

    remove_leftovers(store, set)

    assert sorted(os.listdir(store.directory(crash().id))) == ["backtrace.txt", RECORD_FILE]


def test_what_is_left_of_an_interrupted_copy_of_an_object_is_removed(store: Store) -> None:
    left = store.root / "objects" / "ab" / ".abcd.zst.new"
    left.parent.mkdir(parents=True)
    left.touch()

    remove_leftovers(store, set)

    assert not left.exists()
