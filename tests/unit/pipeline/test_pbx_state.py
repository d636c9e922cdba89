"""What has become of Asterisk after a crash."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astbtd.announce.journald_socket import JournalUnavailable
from astbtd.asterisk import asterisk_processes, pbx_users
from astbtd.asterisk.identity import PbxIdentity
from astbtd.pipeline import pbx_state
from astbtd.pipeline.pbx_state import observe_pbx
from astbtd.readiness.facts import Credentials, Limit, Process, Unit
from astbtd.readiness.gather import process_facts, systemd_config
from astbtd.store.store import Store
from tests.support.builders import crash

STARTED = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)
ANYBODY = PbxIdentity(None)
UNIT = "asterisk.service"


@pytest.fixture(autouse=True)
def _no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing runs, and no unit starts Asterisk."""
    monkeypatch.setattr(asterisk_processes, "running_pids", lambda _: ())
    monkeypatch.setattr(pbx_users, "find_units", lambda _: {})


def no_entries(_: Sequence[Mapping[str, str]], __: float) -> Iterable[Mapping[str, object]]:
    return []


def process(pid: int, started: float) -> Process:
    return Process(pid, (b"asterisk",), Credentials(0, frozenset(), 0), Limit(None, None), True, 0, 0, started)


def run_processes(monkeypatch: pytest.MonkeyPatch, started: Mapping[int, float]) -> None:
    monkeypatch.setattr(asterisk_processes, "running_pids", lambda _: tuple(started))
    monkeypatch.setattr(process_facts, "read_process", lambda pid: process(pid, started[pid]))
    monkeypatch.setattr(PbxIdentity, "is_known_process", lambda _, pid: pid != 666)


def load_units(monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
    units = {f"{name}.service": Unit(f"{name}.service", properties(state)) for name, state in states.items()}
    monkeypatch.setattr(pbx_users, "find_units", lambda _: dict.fromkeys(units))
    monkeypatch.setattr(systemd_config, "find_loaded_unit", units.get)


def properties(state: str) -> dict[str, str]:
    active, sub = state.split()
    return {"ActiveState": active, "SubState": sub}


def test_a_running_process_is_reported_with_its_start_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_processes(monkeypatch, {10: STARTED.timestamp() - 60, 11: STARTED.timestamp()})

    state = observe_pbx(["asterisk"], ANYBODY, store, no_entries)

    assert (state.running, state.since) == (True, STARTED)


def test_a_process_of_another_user_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_processes(monkeypatch, {666: STARTED.timestamp()})

    assert not observe_pbx(["asterisk"], ANYBODY, store, no_entries).running


def test_a_process_that_ends_meanwhile_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_processes(monkeypatch, {10: STARTED.timestamp()})
    monkeypatch.setattr(process_facts, "read_process", lambda _: (_ for _ in ()).throw(FileNotFoundError()))

    assert not observe_pbx(["asterisk"], ANYBODY, store, no_entries).running


def test_the_state_of_the_unit_is_reported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load_units(monkeypatch, asterisk="activating auto-restart")

    state = observe_pbx(["asterisk"], ANYBODY, store, no_entries)

    assert (state.unit, state.unit_state) == (UNIT, "activating (auto-restart)")


def test_of_several_units_the_active_one_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load_units(monkeypatch, asterisk="inactive dead", freepbx="active exited")

    assert observe_pbx(["asterisk"], ANYBODY, store, no_entries).unit == "freepbx.service"


def test_restarts_are_counted_in_the_entries_of_the_service_manager(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_units(monkeypatch, asterisk="active running")
    asked: list[tuple[Sequence[Mapping[str, str]], float]] = []

    def entries(queries: Sequence[Mapping[str, str]], since: float) -> Iterable[Mapping[str, object]]:
        asked.append((queries, since))
        return [{"_UID": 0}, {"_UID": "0"}, {"_UID": 1000}]

    state = observe_pbx(["asterisk"], ANYBODY, store, entries)

    assert state.restarts == 2
    [([query], since)] = asked
    assert (query["UNIT"], query["_PID"]) == (UNIT, "1")
    assert since == (state.at - timedelta(hours=1)).timestamp()


@pytest.mark.parametrize("error", [PermissionError(), JournalUnavailable("it is down"), ImportError()])
def test_restarts_are_unknown_without_the_journal(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    load_units(monkeypatch, asterisk="active running")

    def entries(_: Sequence[Mapping[str, str]], __: float) -> Iterable[Mapping[str, object]]:
        raise error

    assert observe_pbx(["asterisk"], ANYBODY, store, entries).restarts is None


def test_crashes_of_the_pbx_in_the_last_hour_are_counted(store: Store) -> None:
    now = datetime.now(UTC)
    for number, (age, foreign) in enumerate([(1, False), (2, True), (30, False), (61, False)]):
        one = crash(number)
        moment = now - timedelta(minutes=age)
        one = replace(one, id=f"{moment:%Y%m%dT%H%M%SZ}-{number}-abcdef", crashed_at=moment, foreign=foreign)
        store.commit(store.stage(one.id), one)

    assert observe_pbx(["asterisk"], ANYBODY, store, no_entries).crashes == 2
    assert observe_pbx(["asterisk"], ANYBODY, store, no_entries, replaced=next(store.newest())).crashes == 1


def test_without_the_right_to_read_the_journal_nothing_is_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astbtd.announce import systemd

    monkeypatch.setattr(systemd, "can_read_system_journal", lambda: False)
    load_units(monkeypatch, asterisk="active running")

    assert observe_pbx(["asterisk"], ANYBODY, store).restarts is None


def test_nothing_is_known_of_a_machine_without_asterisk(store: Store) -> None:
    state = observe_pbx(["asterisk"], ANYBODY, store, no_entries)

    assert (state.running, state.since, state.unit, state.restarts) == (False, None, None, None)
    assert pbx_state.find_unit(["asterisk"]) is None


CATALOG = Path("/usr/lib/systemd/catalog/systemd.catalog")


@pytest.mark.skipif(not CATALOG.exists(), reason="no systemd")
def test_the_id_of_the_entries_is_that_of_a_scheduled_restart() -> None:
    explained = CATALOG.read_text().partition(f"-- {pbx_state.RESTART_SCHEDULED}\n")[2]

    assert explained.splitlines()[0] == "Subject: Automatic restarting of a unit has been scheduled"
