"""Which crash a selector names."""

from dataclasses import replace

import pytest

from astbtd.errors import NothingMatched
from astbtd.model.crash import ReplacedRecord
from astbtd.store.id_lookup import resolve
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.stores import commit


@pytest.mark.parametrize(
    ("selector", "minutes"),
    [
        (crash(2).id, 2),
        (crash(2).id[:14], 2),
        ("latest", 3),
        ("-1", 3),
        ("-2", 2),
        ("-3", 1),
    ],
)
def test_selectors_that_match(store: Store, selector: str, minutes: int) -> None:
    commit(store, crash(1), crash(2), crash(3))

    assert resolve(store, selector) == crash(minutes).id


def test_the_id_of_a_death_names_the_crash_that_has_replaced_it_with_its_core(store: Store) -> None:
    death = crash(1, identity="d" * 32).id
    commit(store, crash(1), replace(crash(2), replaces=ReplacedRecord(death)), crash(3))

    assert resolve(store, death) == crash(2).id
    for unknown in (crash(2, identity="e" * 32).id, "99999999T999999Z-1-dddddd", "00010101T000000Z-1-dddddd"):
        with pytest.raises(NothingMatched):
            resolve(store, unknown)


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("20261122T12", "is ambiguous: 2 ids start with it"),
        ("2027", "no crash id starts with"),
        ("202", "is too short for an id"),
        ("", "is too short for an id"),
        ("-3", "there is no crash -3"),
        ("-0", "there is no crash -0"),
        ("../crashes", "no crash id starts with"),
    ],
)
def test_selectors_that_match_nothing_or_too_much(store: Store, selector: str, reason: str) -> None:
    commit(store, crash(1), crash(2))

    with pytest.raises(NothingMatched, match=reason):
        resolve(store, selector)


def test_crashes_of_one_second_are_ordered_by_their_exact_time(store: Store) -> None:
    early, late = crash(0.001, pid=9), crash(0.002, pid=10)
    commit(store, late, early)

    assert early.id > late.id
    assert store.ids() == [late.id, early.id]
    assert resolve(store, "latest") == late.id


def test_an_empty_store_has_no_latest_crash(store: Store) -> None:
    with pytest.raises(NothingMatched):
        resolve(store, "latest")
