"""One record for each death: a known crash is found, and a late core replaces the record without one."""

from dataclasses import replace

import pytest

from astbtd.claims.claim import Claims
from astbtd.claims.deaths import Death, death_record
from astbtd.model.crash import CoreState, Crash
from astbtd.pipeline.known_deaths import find_crash, replace_death
from astbtd.sources.death_messages import UnitExit
from astbtd.store.record import RecordSummary
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.finding import make_claims

DEATH = Death(UnitExit(NOON, "boot", "asterisk.service", "first", "SIGSEGV", dumped=False), None, None)


@pytest.fixture
def claims(store: Store) -> Claims:
    return make_claims(store.root)


def record(store: Store, made: Crash) -> Crash:
    store.commit(store.stage(made.id), made)
    return made


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
    record(store, crash(0, state=CoreState.NONE))
    with_core = record(store, crash(minutes, pid=pid, identity="b" * 32))

    replace_death(store, with_core)

    assert len(store.ids()) == (1 if replaced else 2)


def test_the_record_of_another_crash_with_a_core_is_not_replaced(store: Store) -> None:
    record(store, crash(0))

    replace_death(store, record(store, crash(0.1, identity="b" * 32)))

    assert len(store.ids()) == 2


def test_of_the_crashes_around_a_core_only_those_of_its_process_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(1, 20):
        record(store, crash(0, pid=pid, identity=f"{pid:032x}", state=CoreState.NONE))
    with_core = record(store, crash(1, pid=7, identity="b" * 32))
    read: list[str] = []
    load_summary = Store.load_summary

    def recording(store: Store, crash_id: str) -> RecordSummary:
        read.append(crash_id)
        return load_summary(store, crash_id)

    monkeypatch.setattr(Store, "load_summary", recording)

    replace_death(store, with_core)

    assert len(read) == 2
    assert len(store.ids()) == 19
