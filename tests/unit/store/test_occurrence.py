"""Occurrence numbers follow the crash time."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.model.crash import Asterisk
from astbtd.store.occurrence import assign_occurrence, number_postponed, postpone_numbering, renumber_after
from astbtd.store.store import Store
from tests.support.builders import crash, signature_of
from tests.support.stores import commit, numbers, process


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_occurrences_follow_the_crash_time_in_any_order_of_processing(store: Store, order: tuple[int, ...]) -> None:
    for minutes in order:
        process(store, crash(minutes))

    assert numbers(store) == [1, 2, 3]
    assert {signature_of(each).first_seen for each in store.crashes()} == {crash(1).crashed_at}


def test_the_version_of_a_foreign_crash_is_not_that_of_the_pbx_before(store: Store) -> None:
    foreign = replace(crash(1), foreign=True, asterisk=Asterisk("1.2.3"))
    commit(store, foreign)
    first = replace(signature_of(crash(2)), after_version=None)

    assert assign_occurrence(store, first, crash(2).id, "22.10.0") == first


@limits(max_examples=30)
@given(
    order=st.permutations(range(6)),
    minutes=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    signatures=st.lists(st.sampled_from(("a" * 12, "b" * 12)), min_size=6, max_size=6),
)
def test_each_signature_is_numbered_separately(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int], minutes: list[int], signatures: list[str]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    for index in order:
        process(store, crash(minutes[index], pid=index, signature=signatures[index]))

    for signature in set(signatures):
        sharing = sorted(
            (each for each in store.crashes() if signature_of(each).id == signature),
            key=lambda each: (each.crashed_at, each.id),
        )
        assert [signature_of(each).occurrence for each in sharing] == list(range(1, len(sharing) + 1))
        assert {signature_of(each).first_seen for each in sharing} == {sharing[0].crashed_at}


def test_the_first_crash_with_another_version_records_the_previous_version(store: Store) -> None:
    older = replace(crash(1, signature="a" * 12), asterisk=Asterisk("22.9.0"))
    process(store, older)
    for minutes in (4, 3):
        process(store, crash(minutes, signature="b" * 12))

    assert [signature_of(each).after_version for each in store.crashes()] == ["22.9.0", "22.9.0", None]


def test_postponed_numbering_is_done_at_once(store: Store) -> None:
    for minutes in (3, 2, 1):
        late = crash(minutes, signature="b" * 12 if minutes == 2 else "a" * 12)
        place = assign_occurrence(store, signature_of(late), late.id, late.asterisk.version)
        commit(store, replace(late, signature=place))
        postpone_numbering(store, late)

    number_postponed(store)

    assert numbers(store) == [1, 1, 2]
    number_postponed(store)
    assert numbers(store) == [1, 1, 2]


def test_removed_crashes_still_count(store: Store) -> None:
    for minutes in (1, 2, 3):
        process(store, crash(minutes))
    store.remove(crash(1).id)
    store.remove(crash(2).id)

    process(store, crash(4))

    assert numbers(store) == [3, 4]
    assert signature_of(store.load(crash(4).id)).first_seen == crash(1).crashed_at


def test_renumbering_twice_changes_nothing(store: Store) -> None:
    for minutes in (2, 1):
        process(store, crash(minutes))
    before = list(store.crashes())

    renumber_after(store, store.load(crash(1).id))

    assert list(store.crashes()) == before
