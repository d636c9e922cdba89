"""The quota of foreign crashes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from astbtd.settings import Limits, RetentionSettings
from astbtd.store import foreign_crashes
from astbtd.store.foreign_crashes import ForeignCrashes
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.limits import Conditions
from astbtd.store.retention.policy import Policy
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash
from astbtd.store.store import Store
from tests.support.builders import NOON, crash


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(foreign_crashes, "MAX_CRASHES", 2)
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def record(store: Store, minutes: int, *, foreign: bool = True, pinned: bool = False, size: int = 10) -> str:
    made = replace(crash(minutes, identity=f"{minutes:032x}"[::-1]), foreign=foreign, pinned=pinned)
    if foreign:
        ForeignCrashes(store).add(made.id)
    staged = store.stage(made.id)
    (staged / "backtrace.txt").write_bytes(bytes(size))
    store.commit(staged, made)
    return made.id


def test_the_crashes_that_were_recorded_first_are_removed_whatever_their_time(store: Store) -> None:
    recorded = [record(store, minutes) for minutes in (30, 10, 20)]

    removed = ForeignCrashes(store).remove_excess()

    assert sorted(store.ids()) == sorted(recorded[1:])
    assert removed.numbers[RemovedPart.RECORD] == 1
    assert ForeignCrashes(store).ids() == recorded[1:]


def test_the_crashes_of_the_pbx_are_not_removed_and_do_not_count(store: Store) -> None:
    of_pbx = [record(store, minutes, foreign=False) for minutes in range(5)]
    foreign = [record(store, minutes) for minutes in (30, 31)]

    ForeignCrashes(store).remove_excess()

    assert sorted(store.ids()) == sorted(of_pbx + foreign)


def test_the_size_is_limited_as_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_crashes, "MAX_BYTES", 100_000)
    record(store, 1, size=90_000)
    second = record(store, 2, size=90_000)

    ForeignCrashes(store).remove_excess()

    assert store.ids() == [second]


def test_a_pinned_crash_stays(store: Store) -> None:
    pinned = record(store, 1, pinned=True)
    record(store, 2)
    third = record(store, 3)

    ForeignCrashes(store).remove_excess()

    assert sorted(store.ids()) == sorted([pinned, third])


def test_the_latest_crash_is_that_of_the_pbx(store: Store) -> None:
    of_pbx = record(store, 1, foreign=False)
    record(store, 2)

    store.update_latest()

    assert list(store.newest_of_pbx()) == [of_pbx]
    assert (store.root / "latest").readlink() == Path(f"crashes/{of_pbx}")


def stored(minutes: int, *, foreign: bool = False) -> StoredCrash:
    at = NOON + timedelta(minutes=minutes)
    return StoredCrash(f"crash-{minutes}", at, at, "signature", 1000, 10, 1, foreign=foreign)


def plan(settings: RetentionSettings, crashes: list[StoredCrash], free: int = 1 << 30) -> list[str]:
    """Return the ids of the crashes that lose something."""
    conditions = Conditions(settings, Disk(free, 1 << 30), NOON + timedelta(hours=1))
    return [removal.id for removal in Policy.from_conditions(conditions).plan(crashes)]


@pytest.mark.parametrize("limits", [Limits(size=1000), Limits(count=1), Limits(per_signature=1)])
def test_foreign_crashes_push_nothing_out_of_the_limits_of_the_pbx(limits: Limits) -> None:
    crashes = [stored(0), *(stored(minutes, foreign=True) for minutes in range(1, 7))]

    assert plan(RetentionSettings(cores=limits), crashes) == []


def test_when_the_disk_is_short_the_cores_of_foreign_crashes_are_removed_first() -> None:
    settings = RetentionSettings(cores=Limits(), minimum_free=0.5)

    assert plan(settings, [stored(0), stored(1, foreign=True)], free=(1 << 29) - 500) == ["crash-1"]
