"""One record for each death: a known crash is found, and what is recorded with its core replaces the record without."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from astbtd.claims.claim import Claims
from astbtd.claims.deaths import Death, death_record
from astbtd.model.crash import CoreState, Crash, IdentityFrom, ReplacedRecord
from astbtd.pipeline.known_deaths import find_copy, find_crash, remove_replaced, take_over
from astbtd.sources.death_messages import UnitExit
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, facts
from tests.support.finding import make_claims

DEATH = Death(UnitExit(NOON, "boot", "asterisk.service", "first", "SIGSEGV", dumped=False), None, None)


@pytest.fixture
def claims(store: Store) -> Claims:
    return make_claims(store.root)


def record(store: Store, made: Crash) -> Crash:
    store.commit(store.stage(made.id), made)
    return made


def as_replaced(death: Crash) -> ReplacedRecord:
    return ReplacedRecord(death.id, death.site.id if death.site else None)


def test_a_recorded_crash_is_found_once(store: Store, claims: Claims) -> None:
    known = record(store, crash(0.1))
    record(store, crash(1, identity="b" * 32))

    assert find_crash(store, claims, DEATH, set()) == known.id
    assert find_crash(store, claims, DEATH, {known.id}) is None


def test_a_crash_that_is_claimed_is_found(store: Store, claims: Claims) -> None:
    claim = claims.claim_lost_core(death_record(DEATH))

    assert find_crash(store, claims, DEATH, set()) == claim.id

    claim.close()


def test_a_foreign_crash_does_not_hide_a_death(store: Store, claims: Claims) -> None:
    record(store, replace(crash(0), foreign=True))

    assert find_crash(store, claims, DEATH, set()) is None


@pytest.mark.parametrize(("pid", "minutes", "replaced"), [(4242, 1, True), (4242, 2.5, False), (7, 0, False)])
def test_a_core_replaces_the_record_of_its_death(store: Store, pid: int, minutes: float, replaced: bool) -> None:
    death = record(store, crash(0, state=CoreState.NONE))

    with_core = record(store, take_over(store, crash(minutes, pid=pid, identity="b" * 32)))
    remove_replaced(store, with_core)

    assert with_core.replaces == (as_replaced(death) if replaced else None)
    assert set(store.ids()) == {with_core.id} | (set() if replaced else {death.id})


def test_a_pinned_record_is_replaced_by_a_pinned_one(store: Store) -> None:
    record(store, replace(crash(0, state=CoreState.NONE), pinned=True))

    assert take_over(store, crash(0.1, identity="b" * 32)).pinned


def test_a_core_replaces_the_record_that_calls_it_replaced_by_another_one(store: Store) -> None:
    lost = crash(0, state=CoreState.LOST)
    death = record(store, replace(lost, core=replace(lost.core, identity_from=IdentityFrom.DEATH)))

    assert take_over(store, crash(0.1, identity="b" * 32)).replaces == as_replaced(death)


@pytest.mark.parametrize(
    ("directory", "minutes", "replaced"), [("/tmp", -0.1, True), ("/tmp", 0.1, False), ("/srv", -0.1, False)]
)
def test_a_core_that_was_renamed_in_the_private_tmp_is_not_lost(
    store: Store, directory: str, minutes: float, replaced: bool
) -> None:
    unread = crash(0, pid=0, state=CoreState.LOST)
    process = replace(unread.process, pid=None)
    core = replace(unread.core, identity_from=IdentityFrom.FILE, path="/tmp/core")
    record(store, replace(unread, core=core, process=process))
    renamed = crash(minutes, identity="b" * 32)

    found = take_over(store, replace(renamed, core=replace(renamed.core, path=f"{directory}/core.pbx")))

    assert bool(found.replaces) is replaced


def test_the_record_of_another_crash_with_a_core_is_not_replaced(store: Store) -> None:
    record(store, crash(0))

    assert take_over(store, crash(0.1, identity="b" * 32)).replaces is None


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True)])
def test_of_foreign_crashes_none_replaces_or_is_replaced(store: Store, ours: bool, theirs: bool) -> None:
    record(store, replace(crash(0, state=CoreState.NONE), foreign=ours))

    assert take_over(store, replace(crash(0.1, identity="b" * 32), foreign=theirs)).replaces is None


def test_a_death_without_a_core_replaces_nothing(store: Store) -> None:
    record(store, crash(0, state=CoreState.NONE))

    assert take_over(store, crash(0.1, identity="b" * 32, state=CoreState.NONE)).replaces is None


def test_a_core_replaces_a_death_that_is_claimed_and_not_recorded_yet(store: Store, claims: Claims) -> None:
    claim = claims.claim_lost_core(death_record(DEATH))

    assert take_over(store, crash(0.1), claims).replaces == ReplacedRecord(claim.id)
    assert take_over(store, crash(1), claims).replaces is None

    claim.close()


@pytest.mark.parametrize(
    ("change", "is_copy"),
    [({}, True), ({"size": 7}, False), ({"crashed_at": NOON + timedelta(milliseconds=1)}, False), ({"pid": 7}, False)],
)
def test_a_truncated_core_that_was_moved_is_recognized(store: Store, change: dict[str, Any], is_copy: bool) -> None:
    made = crash()
    first = record(store, replace(made, core=replace(made.core, identity_from=IdentityFrom.FILE)))
    pid = change.pop("pid", made.process.pid)
    moved = replace(facts(pid=pid), identity="f" * 32, identity_from=IdentityFrom.FILE, **change)

    assert find_copy(store, moved, foreign=False) == (first.id if is_copy else None)
    assert find_copy(store, moved, foreign=True) is None
    assert find_copy(store, replace(moved, identity_from=IdentityFrom.AT_RANDOM), foreign=False) is None


def test_of_the_crashes_around_a_core_only_those_of_its_process_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(1, 20):
        record(store, crash(0, pid=pid, identity=f"{pid:032x}", state=CoreState.NONE))
    read: list[str] = []
    load_part = Store.load_part

    def recording(store: Store, crash_id: str, part: type[Any]) -> Any:
        read.append(crash_id)
        return load_part(store, crash_id, part)

    monkeypatch.setattr(Store, "load_part", recording)

    found = take_over(store, crash(1, pid=7, identity="b" * 32))

    assert found.replaces is not None
    assert len(read) == 1
