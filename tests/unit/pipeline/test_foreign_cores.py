"""A crash that was recorded as foreign becomes the PBX's once its user is known."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.asterisk import asterisk_processes, pbx_users
from astbtd.model.crash import REPORT_FILE, CoreState, Crash, Process
from astbtd.pipeline import foreign_cores
from astbtd.settings import AsteriskSettings, Settings
from astbtd.store.foreign_crashes import ForeignCrashes
from astbtd.store.store import Store
from tests.support.builders import crash, signature_of


def commit(store: Store, made: Crash) -> Crash:
    staged = store.stage(made.id)
    (staged / REPORT_FILE).write_text("Foreign: not the PBX\n")
    store.commit(staged, made)
    store.update_latest()
    return made


def test_it_is_numbered_between_the_crashes_of_its_signature_and_its_report_loses_the_mark(store: Store) -> None:
    commit(store, crash(1))
    foreign = commit(store, replace(crash(2, pid=2), foreign=True))
    later = crash(3, pid=3)
    commit(store, replace(later, signature=replace(signature_of(later), occurrence=2)))

    adopted = foreign_cores.adopt(store, foreign)

    assert (adopted.id, adopted.foreign) == (foreign.id, False)
    assert [signature_of(each).occurrence for each in store.crashes()] == [3, 2, 1]
    assert "Foreign" not in (store.directory(foreign.id) / REPORT_FILE).read_text()


def test_it_can_be_the_latest_and_is_not_removed_by_the_quota_of_foreign_crashes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = commit(store, replace(crash(), foreign=True))
    ForeignCrashes(store).add(foreign.id)

    foreign_cores.adopt(store, foreign)
    monkeypatch.setattr("astbtd.store.foreign_crashes.MAX_CRASHES", 0)
    ForeignCrashes(store).remove_excess()

    assert store.ids() == [foreign.id]
    assert ForeignCrashes(store).ids() == []
    assert os.readlink(store.root / "latest") == f"crashes/{foreign.id}"


def test_it_replaces_the_record_of_its_death_without_a_core(store: Store) -> None:
    """While it was foreign, it did not count as the core of that death."""
    death = commit(store, crash(1, identity="d" * 32, state=CoreState.NONE))
    foreign = commit(store, replace(crash(1.1), foreign=True))

    adopted = foreign_cores.adopt(store, foreign)

    assert store.ids() == [foreign.id]
    assert adopted.replaces
    assert adopted.replaces.id == death.id


def test_a_named_core_is_foreign_until_its_user_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_processes, "running_pids", lambda _: ())
    monkeypatch.setattr(pbx_users, "find_units", lambda _: {})
    process = Process(pid=1, uid=4321)
    settings = Settings(store=str(tmp_path))

    before = foreign_cores.foreign_reason(process, settings)
    after = foreign_cores.foreign_reason(process, replace(settings, asterisk=AsteriskSettings(users=("4321",))))

    assert before == "user 4321 is not a known user of the PBX"
    assert after is None
