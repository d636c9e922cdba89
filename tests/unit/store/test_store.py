"""The store: crashes are there whole or not at all, and are found, counted and removed as promised."""

import itertools
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

from astbtd.errors import AstbtdError, NothingMatched
from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, Asterisk, Crash
from astbtd.store.id_lookup import resolve
from astbtd.store.occurrence import number_postponed, place_in_signature, postpone_numbering, renumber_after
from astbtd.store.staging_cleanup import clean
from astbtd.store.store import DamagedRecord, Store
from tests.support.builders import crash


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "astbtd")
    store.prepare()
    return store


def commit(store: Store, *crashes: Crash) -> None:
    for one in crashes:
        store.commit(store.stage(one.id), one)


def process(store: Store, one: Crash) -> None:
    """Stores a crash as the pipeline does: numbered among those of its signature."""
    place = place_in_signature(store, one.signature, one.id, one.asterisk.version)
    numbered = replace(one, signature=place)
    commit(store, numbered)
    renumber_after(store, numbered)
    store.point_latest()


def numbers(store: Store) -> list[int]:
    """The occurrence numbers of all crashes, the oldest first."""
    return [store.load(crash_id).signature.occurrence for crash_id in reversed(store.ids())]


def latest(store: Store) -> Path:
    return (store.root / "latest").readlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_crash_comes_back_as_it_was_stored(store: Store) -> None:
    commit(store, crash())

    assert store.load(crash().id) == crash()


def test_a_crash_is_invisible_until_it_is_committed_and_then_whole(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "backtrace.txt").write_text("#0 main ()")
    assert store.ids() == []

    directory = store.commit(staged, crash())

    assert store.ids() == [crash().id]
    assert sorted(os.listdir(directory)) == ["backtrace.txt", RECORD_FILE]
    assert not staged.exists()


def test_staging_starts_anew_whatever_an_earlier_attempt_left(store: Store) -> None:
    (store.stage(crash().id) / "backtrace.txt").write_text("half")

    assert os.listdir(store.stage(crash().id)) == []


def test_only_the_group_can_read_and_nobody_else_can_enter(store: Store) -> None:
    commit(store, crash())

    assert [mode_of(path) for path in (store.root, store.directory(crash().id))] == [0o750, 0o750]
    assert mode_of(store.directory(crash().id) / RECORD_FILE) == 0o640
    assert mode_of(store.incoming) == 0o700


def test_preparing_brings_a_store_back_to_its_modes(store: Store) -> None:
    store.root.chmod(0o777)
    store.incoming.chmod(0o755)

    store.prepare()

    assert (mode_of(store.root), mode_of(store.incoming)) == (0o750, 0o700)


def test_a_store_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(AstbtdError, match="cannot use the store"):
        Store(tmp_path / "file").prepare()


def test_a_store_is_new_until_told_otherwise_even_if_it_is_prepared_again(store: Store) -> None:
    store.prepare()
    assert store.is_new

    store.no_longer_new()
    store.prepare()

    assert not store.is_new


def test_a_second_daemon_is_kept_off(store: Store) -> None:
    with store.lock(), pytest.raises(AstbtdError, match="another astbtd runs"), store.lock():
        pass
    with store.lock():
        pass


def test_ids_come_newest_first_and_strangers_are_none(store: Store) -> None:
    commit(store, crash(1), crash(3), crash(2))
    (store.root / "crashes" / "lost+found").mkdir()

    assert store.ids() == [crash(3).id, crash(2).id, crash(1).id]
    assert [each.id for each in store.crashes()] == store.ids()


def test_a_store_that_was_never_made_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "absent").ids() == []


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
def test_what_a_selector_stands_for(store: Store, selector: str, minutes: int) -> None:
    commit(store, crash(1), crash(2), crash(3))

    assert resolve(store, selector) == crash(minutes).id


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("20261122T12", "2 crashes' ids start with"),
        ("2027", "no crash's id starts with"),
        ("202", "is too short for an id"),
        ("", "is too short for an id"),
        ("-3", "there is no crash -3"),
        ("-0", "there is no crash -0"),
        ("../crashes", "no crash's id starts with"),
    ],
)
def test_what_a_selector_does_not_stand_for(store: Store, selector: str, reason: str) -> None:
    commit(store, crash(1), crash(2))

    with pytest.raises(NothingMatched, match=reason):
        resolve(store, selector)


def test_crashes_of_one_second_are_ordered_by_their_exact_time(store: Store) -> None:
    early, late = crash(0.001, pid=9), crash(0.002, pid=10)
    commit(store, late, early)

    assert early.id > late.id
    assert store.ids() == [late.id, early.id]
    assert resolve(store, "latest") == late.id


def test_the_latest_of_an_empty_store_is_nothing(store: Store) -> None:
    with pytest.raises(NothingMatched):
        resolve(store, "latest")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"id": 5}', "\xff", '{"schema": 1}'],
)
def test_a_damaged_record_is_said_and_passed_over(store: Store, text: str) -> None:
    commit(store, crash(1), crash(2))
    (store.directory(crash(2).id) / RECORD_FILE).write_text(text, encoding="latin-1")

    assert [each.id for each in store.crashes()] == [crash(1).id]
    with pytest.raises(DamagedRecord, match=RECORD_FILE):
        store.load(crash(2).id)


def test_a_missing_record_is_a_damaged_one(store: Store) -> None:
    with pytest.raises(DamagedRecord):
        store.load(crash().id)


def test_a_record_of_a_later_version_is_understood(store: Store) -> None:
    commit(store, crash())
    record = store.directory(crash().id) / RECORD_FILE
    record.write_text(json.dumps({**json.loads(record.read_text()), "colour": "red"}))

    assert store.load(crash().id) == crash()


def test_a_change_replaces_the_record_and_leaves_nothing_else(store: Store) -> None:
    commit(store, crash())

    changed = store.change(crash().id, lambda stored: replace(stored, pinned=True))

    assert changed == store.load(crash().id) == replace(crash(), pinned=True)
    assert os.listdir(store.directory(crash().id)) == [RECORD_FILE]


def test_a_name_that_is_no_unicode_does_not_stop_the_record(store: Store) -> None:
    strange = crash()
    strange = replace(strange, core=replace(strange.core, path="/srv/core\udcff"))

    commit(store, strange)

    assert store.load(strange.id).core.path == "/srv/core?"


def test_a_crash_is_removed_with_all_it_has(store: Store) -> None:
    commit(store, crash(1), crash(2))

    store.remove(crash(1).id)

    assert store.ids() == [crash(2).id]
    assert os.listdir(store.incoming) == ["new"]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_occurrences_follow_the_crash_time_whatever_the_order_of_processing(
    store: Store, order: tuple[int, ...]
) -> None:
    for minutes in order:
        process(store, crash(minutes))

    assert numbers(store) == [1, 2, 3]
    assert {each.signature.first_seen for each in store.crashes()} == {crash(1).crashed_at}


@limits(max_examples=30)
@given(
    order=st.permutations(range(6)),
    minutes=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    signatures=st.lists(st.sampled_from(("a" * 12, "b" * 12)), min_size=6, max_size=6),
)
def test_crashes_of_each_signature_are_counted_by_themselves(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int], minutes: list[int], signatures: list[str]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    for index in order:
        process(store, crash(minutes[index], pid=index, signature=signatures[index]))

    for signature in set(signatures):
        sharing = sorted(
            (each for each in store.crashes() if each.signature.id == signature),
            key=lambda each: (each.crashed_at, each.id),
        )
        assert [each.signature.occurrence for each in sharing] == list(range(1, len(sharing) + 1))
        assert {each.signature.first_seen for each in sharing} == {sharing[0].crashed_at}


def test_a_signature_that_came_with_another_version_says_after_which(store: Store) -> None:
    older = replace(crash(1, signature="a" * 12), asterisk=Asterisk("22.9.0"))
    process(store, older)
    for minutes in (4, 3):
        process(store, crash(minutes, signature="b" * 12))

    assert [each.signature.after_version for each in store.crashes()] == ["22.9.0", "22.9.0", None]


def test_numbering_that_was_postponed_is_done_once_for_all(store: Store) -> None:
    for minutes in (3, 2, 1):
        late = crash(minutes, signature="b" * 12 if minutes == 2 else "a" * 12)
        place = place_in_signature(store, late.signature, late.id, late.asterisk.version)
        commit(store, replace(late, signature=place))
        postpone_numbering(store, late)

    number_postponed(store)

    assert numbers(store) == [1, 1, 2]
    number_postponed(store)
    assert numbers(store) == [1, 1, 2]


def test_of_very_many_identities_the_latest_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astbtd.store.collected_identities._MOST", 2)
    for identity in "abcde":
        store.mark_seen(identity)

    store.forget_oldest_seen()

    assert store.seen() == {"d", "e"}


def test_what_retention_forgot_still_counts(store: Store) -> None:
    for minutes in (1, 2, 3):
        process(store, crash(minutes))
    store.remove(crash(1).id)
    store.remove(crash(2).id)

    process(store, crash(4))

    assert numbers(store) == [3, 4]
    assert store.load(crash(4).id).signature.first_seen == crash(1).crashed_at


def test_numbering_the_same_crash_again_changes_nothing(store: Store) -> None:
    for minutes in (2, 1):
        process(store, crash(minutes))
    before = list(store.crashes())

    renumber_after(store, store.load(crash(1).id))

    assert list(store.crashes()) == before


@limits(max_examples=30)
@given(order=st.permutations(range(5)))
def test_latest_is_always_the_newest_and_never_goes_back(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    for count, minutes in enumerate(order, 1):
        process(store, crash(minutes))
        newest = max(order[:count])

        assert latest(store) == Path("crashes") / crash(newest).id


def test_latest_leads_to_a_crash_that_is_there(store: Store) -> None:
    process(store, crash(1))
    process(store, crash(2))
    store.remove(crash(2).id)
    store.point_latest()
    assert (store.root / "latest" / RECORD_FILE).exists()

    store.remove(crash(1).id)
    store.point_latest()

    assert not (store.root / "latest").is_symlink()


def test_what_was_seen_is_remembered_across_restarts(store: Store) -> None:
    assert store.seen() == set()
    store.mark_seen("0a" * 16)
    store.mark_seen("0b" * 16)

    assert Store(store.root).seen() == {"0a" * 16, "0b" * 16}


def test_of_some_identities_those_that_were_seen_are_told(store: Store) -> None:
    assert store.seen_among({"0a" * 16}) == set()
    store.mark_seen("0a" * 16)
    store.mark_seen("0b" * 16)

    assert store.seen_among({"0a" * 16, "0c" * 16}) == {"0a" * 16}


def test_a_torn_line_costs_only_itself(store: Store) -> None:
    store.mark_seen("0a" * 16)
    with (store.root / "seen").open("a") as file:
        file.write("0b")
    store.mark_seen("0c" * 16)

    assert store.seen() == {"0a" * 16, "0c" * 16}


def test_cleaning_removes_what_no_claim_accounts_for(store: Store) -> None:
    claimed, forgotten = crash(1).id, crash(2).id
    for name in (claimed, f"{claimed}.objects", forgotten, f"{forgotten}.objects", f"{forgotten}.removed"):
        (store.incoming / name).mkdir()
    left = (f"{claimed}.claim", f"{claimed}.core", f"{forgotten}.core", f"{forgotten}.packed.core", ".unnumbered.new")
    for name in left:
        (store.incoming / name).touch()

    clean(store, lambda: {claimed})

    kept = [claimed, f"{claimed}.claim", f"{claimed}.core", f"{claimed}.objects", "new"]
    assert sorted(os.listdir(store.incoming)) == kept


def test_cleaning_removes_what_was_never_renamed_and_nothing_that_was(store: Store) -> None:
    commit(store, crash())
    for name in (f".{RECORD_FILE}.new", f".{KEPT_CORE_FILE}.new", "backtrace.txt"):
        (store.directory(crash().id) / name).touch()

    clean(store, set)

    assert sorted(os.listdir(store.directory(crash().id))) == ["backtrace.txt", RECORD_FILE]


def test_the_size_of_a_crash_is_that_of_its_files(store: Store) -> None:
    staged = store.stage(crash().id)
    (staged / "backtrace.txt").write_bytes(bytes(1000))
    directory = store.commit(staged, crash())

    assert store.size(crash().id) == 1000 + (directory / RECORD_FILE).stat().st_size
    assert store.size(crash(1).id) == 0
