"""What the store gives up: the oldest first, no more than needed, and only what the limits ask for."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.archive import retention
from astbtd.archive.retention import Holding, Removal, What
from astbtd.archive.store import Store
from astbtd.model import KEPT_CORE_FILE, RECORD_FILE, CoreState
from astbtd.settings import Limits, RetentionSettings
from tests.builders import NOON, crash

DAY = 86400.0
FOREVER = Limits(age=1e9, size=1 << 60)


def holding(day: float, *, core: int = 0, texts: int = 0, collected: float | None = None) -> Holding:
    """A crash so many days after NOON, collected then unless said otherwise."""
    at = NOON + timedelta(days=day)
    return Holding(f"crash-{day}", at, NOON + timedelta(days=day if collected is None else collected), core, texts)


def plan(
    held: Sequence[Holding], *, cores: Limits = FOREVER, crashes: Limits = FOREVER, day: float = 100
) -> tuple[Removal, ...]:
    return retention.plan(held, RetentionSettings(cores=cores, crashes=crashes), NOON + timedelta(days=day))


def after(held: Sequence[Holding], removals: Collection[Removal]) -> list[Holding]:
    """What is held once a plan is carried out."""
    records = {removal.id for removal in removals if removal.what is What.RECORD}
    cores = {removal.id for removal in removals if removal.what is What.CORE}
    return [replace(each, core=0) if each.id in cores else each for each in held if each.id not in records]


def named(removals: Sequence[Removal]) -> list[tuple[str, What]]:
    return [(removal.id, removal.what) for removal in removals]


def test_within_the_limits_nothing_goes() -> None:
    assert plan([holding(1, core=5, texts=5)]) == ()


def test_a_core_that_is_too_old_goes_and_its_texts_stay() -> None:
    removals = plan([holding(80, core=7, texts=1), holding(95, core=7, texts=1)], cores=Limits(14 * DAY, 1 << 40))

    assert removals == (Removal("crash-80", What.CORE, 7, "older than 14d"),)


def test_a_crash_that_is_too_old_goes_as_a_whole() -> None:
    removals = plan([holding(1, core=7, texts=3)], crashes=Limits(30 * DAY, 1 << 40), cores=Limits(DAY, 1))

    assert named(removals) == [("crash-1", What.RECORD)]


def test_when_cores_take_too_much_the_oldest_go_first() -> None:
    held = [holding(day, core=4) for day in (3, 1, 4, 2)]

    removals = plan(held, cores=Limits(1e9, 9))

    assert named(removals) == [("crash-1", What.CORE), ("crash-2", What.CORE)]
    assert {removal.reason for removal in removals} == {"beyond 9B in all"}


def test_cores_go_before_whole_crashes() -> None:
    held = [holding(1, core=4, texts=4), holding(2, core=4, texts=4), holding(3, core=4, texts=4)]

    removals = plan(held, cores=Limits(1e9, 5), crashes=Limits(1e9, 9))

    assert named(removals) == [("crash-2", What.CORE), ("crash-1", What.RECORD)]


def test_a_core_that_was_removed_is_not_removed_again() -> None:
    assert plan([holding(1, core=0, texts=1)], cores=Limits(DAY, 0)) == ()


def test_age_counts_from_when_a_crash_was_collected_not_from_a_clock_that_was_wrong() -> None:
    long_ago = holding(-20_000, core=1, texts=1, collected=99)

    assert plan([long_ago], cores=Limits(14 * DAY, 1 << 40), crashes=Limits(365 * DAY, 1 << 40)) == ()


def test_a_crash_in_the_future_ages_from_when_it_was_collected_and_takes_no_room_once_gone() -> None:
    held = [holding(30_000, core=6, collected=1), holding(99, core=6)]

    removals = plan(held, cores=Limits(14 * DAY, 10))

    assert named(removals) == [("crash-30000", What.CORE)]


def test_a_core_that_alone_is_too_much_does_not_take_the_others_with_it() -> None:
    held = [holding(1, core=4), holding(2, core=4), holding(3, core=100)]

    removals = plan(held, cores=Limits(1e9, 10))

    assert named(removals) == [("crash-3", What.CORE)]


HELD = st.lists(
    st.builds(
        holding,
        day=st.floats(-50, 200),
        core=st.integers(0, 50),
        texts=st.integers(1, 50),
        collected=st.floats(-50, 200),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)
LIMITS = st.builds(Limits, age=st.floats(1, 100 * DAY), size=st.integers(0, 200))


@given(HELD, LIMITS, LIMITS)
def test_afterwards_no_limit_is_exceeded(held: list[Holding], cores: Limits, crashes: Limits) -> None:
    kept = after(held, plan(held, cores=cores, crashes=crashes))

    assert sum(each.core for each in kept) <= cores.size
    assert sum(each.texts for each in kept) <= crashes.size
    now = NOON + timedelta(days=100)
    assert all((now - each.collected_at).total_seconds() <= crashes.age for each in kept)
    assert all((now - each.collected_at).total_seconds() <= cores.age for each in kept if each.core)


@given(HELD, LIMITS, LIMITS)
def test_a_second_run_finds_nothing_more_to_remove(held: list[Holding], cores: Limits, crashes: Limits) -> None:
    kept = after(held, plan(held, cores=cores, crashes=crashes))

    assert plan(kept, cores=cores, crashes=crashes) == ()


@given(HELD, st.integers(0, 200))
def test_for_lack_of_room_the_oldest_go_and_no_more_than_needed(held: list[Holding], size: int) -> None:
    fitting = [each for each in held if each.texts <= size]

    removals = plan(fitting, crashes=Limits(1e9, size))

    by_age = sorted(fitting, key=lambda each: (each.crashed_at, each.id))
    assert [removal.id for removal in removals] == [each.id for each in by_age[: len(removals)]]
    if removals:
        assert sum(each.texts for each in by_age[len(removals) - 1 :]) > size


@given(HELD, LIMITS, LIMITS)
def test_a_plan_names_only_what_is_held_and_each_thing_once(
    held: list[Holding], cores: Limits, crashes: Limits
) -> None:
    removals = plan(held, cores=cores, crashes=crashes)

    assert len({removal.id for removal in removals}) == len(removals)
    sizes = {each.id: {What.CORE: each.core, What.RECORD: each.texts} for each in held}
    assert all(removal.bytes == sizes[removal.id][removal.what] for removal in removals)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two crashes, the cores of both kept."""
    store = Store(tmp_path)
    store.prepare()
    for minutes in (1, 2):
        one = crash(minutes)
        staged = store.stage(one.id)
        (staged / "backtrace.txt").write_bytes(bytes(100))
        (staged / KEPT_CORE_FILE).write_bytes(bytes(1000))
        store.commit(staged, one)
    store.point_latest()
    return store


def test_what_a_store_holds(store: Store) -> None:
    newest, oldest = retention.holdings(store)

    assert [newest.id, oldest.id] == store.ids()
    assert newest.core == 1000
    assert newest.core + newest.texts == store.size(newest.id)


def test_removing_a_core_leaves_the_texts_and_a_record_that_says_so(store: Store) -> None:
    retention.carry_out(store, [Removal(crash(1).id, What.CORE, 1000, "")])

    assert not store.kept_core(crash(1).id).exists()
    assert store.load(crash(1).id).core.state is CoreState.REMOVED
    assert (store.directory(crash(1).id) / "backtrace.txt").exists()


def test_removing_a_crash_moves_latest_if_it_led_there(store: Store) -> None:
    retention.carry_out(store, [Removal(crash(2).id, What.RECORD, 100, "")])

    assert store.ids() == [crash(1).id]
    assert (store.root / "latest").readlink() == Path("crashes") / crash(1).id


def test_a_core_whose_removal_was_interrupted_is_removed_by_the_next_run(store: Store) -> None:
    one = store.load(crash(1).id)
    store.update(replace(one, core=replace(one.core, state=CoreState.REMOVED)))

    removals = retention.plan(retention.holdings(store), RetentionSettings(cores=Limits(1e9, 1000)), NOON)
    retention.carry_out(store, removals)

    assert named(removals) == [(one.id, What.CORE)]
    assert not store.kept_core(one.id).exists()


def test_a_damaged_record_ages_by_its_id_and_goes_like_any_other(store: Store) -> None:
    damaged = crash(1).id
    (store.directory(damaged) / RECORD_FILE).write_text("{")
    held = [each for each in retention.holdings(store) if each.id == damaged]

    retention.carry_out(store, plan(held, crashes=Limits(DAY, 1 << 40)))

    assert [each.crashed_at for each in held] == [crash(1).crashed_at]
    assert store.ids() == [crash(2).id]
