"""Which kept objects are removed: those that no core needs, and the least important ones beyond the limit."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.model.crash import MappedFile, ObjectState
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.retention.object_removal import (
    carry_out_object_removals,
    plan,
    plan_object_removals,
    read_running,
    summarize_objects,
    write_running,
)
from astbtd.store.store import Store
from tests.support.builders import crash, program
from tests.support.stores import commit

SIZES = {"aaaa": 100, "bbbb": 100, "cccc": 100}


def removed(*needed: set[str], limit: int | None = None, new: set[str] | None = None) -> list[tuple[str, str]]:
    return [(each.build_id, each.reason) for each in plan(SIZES, needed, limit, new or set())]


def test_what_no_core_needs_is_removed() -> None:
    assert removed({"aaaa"}, {"cccc", "dddd"}) == [("bbbb", "no kept core needs it")]


def test_what_is_new_is_kept_although_no_core_needs_it() -> None:
    assert removed({"aaaa"}, new={"bbbb", "cccc"}) == []


def test_beyond_the_limit_the_least_important_objects_are_removed() -> None:
    assert removed({"cccc"}, {"aaaa"}, {"bbbb"}, limit=200) == [("bbbb", "beyond 200B of objects in all")]


def test_what_is_new_is_the_least_important() -> None:
    assert removed({"aaaa"}, new={"bbbb"}, limit=100) == [
        ("bbbb", "beyond 100B of objects in all"),
        ("cccc", "no kept core needs it"),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def keep(store: Store, build: int, *, is_new: bool = False) -> str:
    source = store.root / "source"
    source.write_bytes(program(build_id=bytes([build]) * 20))
    descriptor = os.open(source, os.O_RDONLY)
    build_id, _ = KeptObjects(store.root).add(descriptor)
    os.close(descriptor)
    source.unlink()
    if not is_new:
        os.utime(KeptObjects(store.root).path(build_id), (0, 0))
    return build_id


def commit_crash(store: Store, minutes: int, build_id: str, *, has_core: bool = True, pinned: bool = False) -> str:
    mapped = (MappedFile("/usr/sbin/asterisk", build_id, ObjectState.SAME),)
    made = replace(crash(minutes), objects=mapped, pinned=pinned)
    commit(store, made)
    if has_core:
        store.kept_core(made.id).touch()
    return made.id


def planned(store: Store, limit: int | None = None) -> set[str]:
    return {each.build_id for each in plan_object_removals(store, limit)}


def test_objects_of_crashes_with_a_core_and_of_the_running_asterisk_are_needed(store: Store) -> None:
    with_core, without_core, running, new = (keep(store, number, is_new=number == 4) for number in range(1, 5))
    commit_crash(store, 1, with_core)
    commit_crash(store, 2, without_core, has_core=False)
    write_running(store, {running})

    assert planned(store) == {without_core}
    assert new in KeptObjects(store.root).sizes()


def test_objects_of_pinned_and_of_newer_crashes_are_kept_first(store: Store) -> None:
    pinned, old, newest = (keep(store, number) for number in range(1, 4))
    commit_crash(store, 1, pinned, pinned=True)
    commit_crash(store, 2, old)
    commit_crash(store, 3, newest)

    assert planned(store, 2 * KeptObjects(store.root).sizes()[old]) == {old}


def test_objects_of_a_crash_that_loses_its_core_are_not_needed(store: Store) -> None:
    build_id = keep(store, 1)
    crash_id = commit_crash(store, 1, build_id)

    removals = plan_object_removals(store, None, without_cores={crash_id})
    carry_out_object_removals(store, removals)

    assert KeptObjects(store.root).sizes() == {}
    assert summarize_objects(removals).startswith("1 kept object (")


def test_the_objects_of_the_running_asterisk_are_remembered(store: Store) -> None:
    assert read_running(store) == set()
    write_running(store, {"ab" * 20, "cd" * 20})
    assert read_running(store) == {"ab" * 20, "cd" * 20}
