"""What the store gives up: the first in line first, no more than needed, and never what is pinned or in work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention import policy
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.policy import Removal, RemovedPart, StoredCrash, StoreTotals, concerns, in_words, within
from tests.support.builders import NOON

DAY = 86400.0
TODAY = NOON + timedelta(days=100)
UNLIMITED = Limits()
EMPTY_DISK = Disk(free=1 << 40, total=1 << 40)


def holding(
    day: float,
    *,
    signature: str | None = "a",
    core: int = 0,
    texts: int = 0,
    record: int = 1,
    collected: float | None = None,
    fixed: bool = False,
    unfinished: RemovedPart | None = None,
) -> StoredCrash:
    """A crash so many days after NOON, collected then unless said otherwise."""
    crashed_at = NOON + timedelta(days=day)
    collected_at = NOON + timedelta(days=day if collected is None else collected)
    return StoredCrash(f"{day:g}", crashed_at, collected_at, signature, core, texts, record, fixed, unfinished)


def settings(
    *, cores: Limits = UNLIMITED, texts: Limits = UNLIMITED, records: Limits = UNLIMITED, minimum_free: float = 0
) -> RetentionSettings:
    return RetentionSettings(cores, texts, records, minimum_free)


def of(what: RemovedPart, limits: Limits) -> RetentionSettings:
    """Limits of one of the three alone."""
    one = settings()
    return {
        RemovedPart.CORE: replace(one, cores=limits),
        RemovedPart.TEXT: replace(one, texts=limits),
        RemovedPart.RECORD: replace(one, records=limits),
    }[what]


def plan(
    held: Sequence[StoredCrash],
    limits: RetentionSettings,
    *,
    disk: Disk = EMPTY_DISK,
    now: datetime | None = TODAY,
    needed: int = 0,
) -> tuple[Removal, ...]:
    return policy.plan(held, limits, disk, now, needed)


def named(removals: Sequence[Removal]) -> list[str]:
    return [f"{removal.what} {removal.id}" for removal in removals]


def reasons(removals: Sequence[Removal]) -> set[str]:
    return {removal.reason for removal in removals}


def after(held: Sequence[StoredCrash], removals: Collection[Removal]) -> list[StoredCrash]:
    """What is held once a plan is carried out."""
    taken = {removal.id: removal.what.included for removal in removals}
    kept = []
    for each in held:
        gone = taken.get(each.id, ())
        if RemovedPart.RECORD not in gone:
            core, texts = (
                (0 if RemovedPart.CORE in gone else each.core),
                (0 if RemovedPart.TEXT in gone else each.texts),
            )
            unfinished = None if each.unfinished in gone else each.unfinished
            kept.append(replace(each, core=core, texts=texts, unfinished=unfinished))
    return kept


def freed(disk: Disk, removals: Collection[Removal]) -> Disk:
    return replace(disk, free=disk.free + sum(removal.bytes for removal in removals))


def line(held: Sequence[StoredCrash], what: RemovedPart) -> list[str]:
    """Who goes first when something has to: the oldest, and last the first and the newest of each signature."""
    having = sorted((each for each in held if each.has(what)), key=lambda each: (each.crashed_at, each.id))
    alike = {each.signature: [other for other in having if other.signature == each.signature] for each in having}
    special = [each for each in having if each in (alike[each.signature][0], alike[each.signature][-1])]
    ordinary = [each for each in having if each not in special]
    return [each.id for each in (*ordinary, *special) if not each.fixed]


def test_within_the_limits_nothing_goes() -> None:
    assert plan([holding(99, core=5, texts=5)], RetentionSettings()) == ()


def test_the_defaults_are_those_that_are_promised() -> None:
    year = 365.25 * DAY

    assert RetentionSettings() == RetentionSettings(
        cores=Limits(age=14 * DAY, size=10 << 30, per_signature=3),
        texts=Limits(age=year, size=2 << 30),
        records=Limits(age=5 * year, count=100_000),
        minimum_free=0.10,
    )


def test_what_is_too_old_goes_and_what_is_kept_longer_stays() -> None:
    held = [holding(10, core=7, texts=1), holding(60, core=7, texts=1), holding(95, core=7, texts=1)]
    limits = settings(cores=Limits(age=14 * DAY), texts=Limits(age=50 * DAY), records=Limits(age=99 * DAY))

    removals = plan(held, limits)

    assert removals == (
        Removal("60", RemovedPart.CORE, 7, "older than 14d"),
        Removal("10", RemovedPart.TEXT, 8, "older than 50d"),
    )


def test_with_its_texts_a_crash_loses_its_core_and_with_its_record_everything() -> None:
    held = [holding(1, core=7, texts=3, record=2), holding(50, core=7, texts=3, record=2)]
    limits = settings(texts=Limits(age=60 * DAY, count=0), records=Limits(age=60 * DAY))

    removals = plan(held, limits)

    assert [(removal.what, removal.bytes) for removal in removals] == [(RemovedPart.TEXT, 10), (RemovedPart.RECORD, 12)]


def test_of_one_signature_the_first_and_the_newest_are_kept_and_of_the_others_the_newest() -> None:
    held = [holding(day, core=1) for day in range(6)] + [holding(10, core=1, signature="b")]

    removals = plan(held, settings(cores=Limits(per_signature=3)))

    assert named(removals) == ["core 1", "core 2", "core 3"]
    assert reasons(removals) == {"more than 3 of its signature"}


def test_what_goes_last_goes_all_the_same_where_a_limit_leaves_no_choice() -> None:
    held = [holding(1, core=1), holding(2, core=1), holding(3, core=1, signature="b")]

    assert named(plan(held, settings(cores=Limits(per_signature=1)))) == ["core 1"]
    assert named(plan(held, settings(cores=Limits(count=1)))) == ["core 1", "core 2"]
    assert named(plan(held, settings(cores=Limits(age=DAY)))) == ["core 1", "core 2", "core 3"]


def test_the_first_and_the_newest_are_those_that_still_have_what_the_limit_is_about() -> None:
    held = [holding(1, texts=1), *(holding(day, core=1, texts=1) for day in (2, 3, 4, 5)), holding(6, texts=1)]

    removals = plan(held, settings(cores=Limits(count=2)))

    assert named(removals) == ["core 3", "core 4"]


def test_when_there_is_too_much_the_oldest_go_first() -> None:
    held = [holding(day, core=4) for day in (3, 1, 4, 2, 5)]

    removals = plan(held, settings(cores=Limits(size=12)))

    assert named(removals) == ["core 2", "core 3"]
    assert reasons(removals) == {"beyond 12B in all"}


def test_what_alone_is_too_much_does_not_take_the_others_with_it() -> None:
    held = [holding(1, core=4), holding(2, core=4), holding(3, core=100)]

    assert named(plan(held, settings(cores=Limits(size=10)))) == ["core 3"]


def test_records_are_forgotten_beyond_their_number() -> None:
    held = [holding(day) for day in range(5)]

    removals = plan(held, settings(records=Limits(count=3)))

    assert removals == (
        Removal("1", RemovedPart.RECORD, 1, "more than 3 in all"),
        Removal("2", RemovedPart.RECORD, 1, "more than 3 in all"),
    )


def test_what_is_pinned_stays_and_counts() -> None:
    held = [holding(1, core=6, fixed=True), holding(2, core=3, signature="b"), holding(3, core=3, signature="c")]

    assert named(plan(held, settings(cores=Limits(size=10, age=50 * DAY)), now=NOON)) == ["core 2"]
    assert named(plan(held, settings(cores=Limits(size=5, age=50 * DAY)), now=NOON)) == ["core 2", "core 3"]


def test_a_removal_that_was_interrupted_is_finished_whatever_the_limits() -> None:
    held = [holding(1, core=5, texts=5, unfinished=RemovedPart.CORE), holding(2, texts=5, unfinished=RemovedPart.TEXT)]

    removals = plan(held, settings())

    assert named(removals) == ["core 1", "text 2"]
    assert reasons(removals) == {"its removal was interrupted"}


DISK = Disk(free=50, total=1000)


def test_for_the_disk_cores_go_until_its_minimum_is_free_again() -> None:
    held = [holding(day, core=20, texts=20) for day in (1, 2, 3, 4, 5)]

    removals = plan(held, settings(minimum_free=0.1), disk=DISK)

    assert named(removals) == ["core 2", "core 3", "core 4"]
    assert reasons(removals) == {"less than 10% of the disk free"}


def test_for_the_disk_texts_go_after_all_cores_and_records_after_all_texts() -> None:
    held = [holding(day, core=5, texts=10, record=20) for day in (1, 2)]

    removals = plan(held, settings(minimum_free=0.1), disk=DISK)

    assert named(removals) == ["text 2", "record 1"]


def test_for_the_disk_no_text_goes_where_all_of_them_are_not_enough() -> None:
    held = [holding(day, core=1, texts=1) for day in (1, 2)]

    assert named(plan(held, settings(minimum_free=0.9), disk=DISK)) == ["core 1", "core 2"]


def test_what_the_limits_take_counts_for_the_disk() -> None:
    held = [holding(day, core=30) for day in (1, 2, 3, 4)]

    removals = plan(held, settings(cores=Limits(count=2), minimum_free=0.1), disk=DISK)

    assert named(removals) == ["core 2", "core 3"]
    assert reasons(removals) == {"more than 2 in all"}


def test_for_a_core_that_needs_room_older_ones_go() -> None:
    held = [holding(day, core=20) for day in (1, 2, 3)]

    removals = plan(held, settings(minimum_free=0.04), disk=DISK, needed=25)

    assert named(removals) == ["core 2"]


def test_for_a_core_that_finds_no_room_whatever_goes_nothing_goes() -> None:
    held = [holding(day, core=20, texts=500) for day in (1, 2, 3)]

    assert plan(held, settings(minimum_free=0.04), disk=DISK, needed=100) == ()


def test_age_counts_from_when_a_crash_was_collected_not_from_a_clock_that_was_wrong_then() -> None:
    limits = settings(cores=Limits(age=14 * DAY))

    assert plan([holding(-20_000, core=1, collected=99)], limits) == ()
    assert named(plan([holding(30_000, core=1, collected=1)], limits)) == ["core 30000"]


def test_while_the_time_is_not_known_nothing_is_too_old_and_all_else_holds() -> None:
    held = [holding(day, core=1) for day in (1, 2, 3)]

    removals = plan(held, settings(cores=Limits(age=1, count=2)), now=None)

    assert reasons(removals) == {"more than 2 in all"}


@pytest.mark.parametrize(
    ("whats", "words"),
    [
        ([RemovedPart.CORE], "1 core (1.0K)"),
        ([RemovedPart.CORE, RemovedPart.CORE, RemovedPart.TEXT], "2 cores, the texts of 1 crash (3.0K)"),
        ([RemovedPart.TEXT, RemovedPart.TEXT, RemovedPart.RECORD], "the texts of 2 crashes, 1 record (3.0K)"),
    ],
)
def test_removals_in_words(whats: list[RemovedPart], words: str) -> None:
    assert in_words([Removal("x", what, 1024, "") for what in whats]) == words


@st.composite
def crashes(draw: st.DrawFn) -> StoredCrash:
    """A crash of one of three signatures, or of none; now and then one that is pinned, or half thinned."""
    core, texts = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    return holding(
        draw(st.floats(-50, 200)),
        signature=draw(st.sampled_from(("a", "b", "c", None))),
        core=core,
        texts=texts,
        record=draw(st.integers(0, 9)),
        collected=draw(st.floats(-50, 200)),
        fixed=draw(st.sampled_from((False, False, False, True))),
        unfinished=draw(
            st.sampled_from((None, None, RemovedPart.CORE if core else None, RemovedPart.TEXT if texts else None))
        ),
    )


HELD = st.lists(crashes(), max_size=15, unique_by=lambda each: each.id)
WHOLE = HELD.map(lambda held: [replace(each, unfinished=None) for each in held])
LIMITS = st.builds(
    Limits,
    age=st.none() | st.floats(1, 100 * DAY),
    size=st.none() | st.integers(0, 300),
    count=st.none() | st.integers(0, 15),
    per_signature=st.none() | st.integers(0, 5),
)
SETTINGS = st.builds(RetentionSettings, LIMITS, LIMITS, LIMITS, st.floats(0, 0.9))
DISKS = st.builds(Disk, free=st.integers(0, 1000), total=st.just(1000))
CLOCKS = st.none() | st.datetimes(timezones=st.just(UTC))


@given(HELD, SETTINGS, DISKS, CLOCKS, st.integers(0, 500))
def test_nothing_is_ever_taken_from_what_is_pinned_or_in_work(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None, needed: int
) -> None:
    removals = plan(held, limits, disk=disk, now=now, needed=needed)

    assert {removal.id for removal in removals} & {each.id for each in held if each.fixed} == set()


@dataclass(frozen=True)
class Kept:
    """What is left of one of the three, under its limits."""

    having: list[StoredCrash]
    what: RemovedPart
    limits: Limits

    @property
    def can_help_it(self) -> bool:
        return any(not each.fixed for each in self.having)

    def exceeds_age(self, now: datetime) -> bool:
        age = self.limits.age
        removable = [each for each in self.having if not each.fixed]
        return age is not None and any((now - each.collected_at).total_seconds() > age for each in removable)

    def exceeds_size(self) -> bool:
        return self.limits.size is not None and sum(each.size(self.what) for each in self.having) > self.limits.size

    def exceeds_count(self) -> bool:
        return self.limits.count is not None and len(self.having) > self.limits.count

    def of(self, signature: str | None) -> "Kept":
        alike = [each for each in self.having if each.signature == signature]
        return Kept(alike, self.what, Limits(count=self.limits.per_signature))


@given(HELD, SETTINGS, DISKS, CLOCKS)
def test_no_limit_is_exceeded_where_that_could_be_helped(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    left = after(held, plan(held, limits, disk=disk, now=now))

    tiers = {RemovedPart.CORE: limits.cores, RemovedPart.TEXT: limits.texts, RemovedPart.RECORD: limits.records}
    for what, limit in tiers.items():
        kept = Kept([each for each in left if each.has(what)], what, limit)
        assert now is None or not kept.exceeds_age(now)
        assert not (kept.exceeds_size() and kept.can_help_it)
        assert not (kept.exceeds_count() and kept.can_help_it)
        alike = [kept.of(signature) for signature in ("a", "b", "c", None)]
        assert not any(each.exceeds_count() and each.can_help_it for each in alike)


@given(HELD, SETTINGS, DISKS)
def test_the_disk_has_its_minimum_where_that_could_be_helped_and_else_no_core(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk
) -> None:
    removals = plan(held, limits, disk=disk)

    lacking = freed(disk, removals).lacks(limits.minimum_free)
    removable = [each for each in after(held, removals) if not each.fixed]
    if lacking > 0:
        assert not any(each.core for each in removable)
        assert sum(each.texts + each.record for each in removable) < lacking


@given(HELD, SETTINGS, DISKS, CLOCKS)
def test_a_second_run_finds_nothing_more_to_remove(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    removals = plan(held, limits, disk=disk, now=now)

    assert plan(after(held, removals), limits, disk=freed(disk, removals), now=now) == ()


@given(WHOLE, st.sampled_from(RemovedPart), st.integers(0, 15))
def test_beyond_a_number_those_go_who_are_first_in_line(held: list[StoredCrash], what: RemovedPart, count: int) -> None:
    removals = plan(held, of(what, Limits(count=count)))

    excess = max(0, sum(each.has(what) for each in held) - count)
    assert {removal.id for removal in removals} == set(line(held, what)[:excess])


@given(WHOLE, st.sampled_from(RemovedPart), st.integers(0, 5))
def test_beyond_a_number_of_one_signature_those_of_it_go_who_are_first_in_line(
    held: list[StoredCrash], what: RemovedPart, count: int
) -> None:
    removals = plan(held, of(what, Limits(per_signature=count)))

    for signature in ("a", "b", "c", None):
        alike = [each for each in held if each.signature == signature]
        excess = max(0, sum(each.has(what) for each in alike) - count)
        gone = {removal.id for removal in removals} & {each.id for each in alike}
        assert gone == set(line(alike, what)[:excess])


@given(WHOLE, st.sampled_from(RemovedPart), st.integers(0, 300))
def test_beyond_a_size_those_go_who_are_first_in_line_and_no_more_than_needed(
    held: list[StoredCrash], what: RemovedPart, size: int
) -> None:
    room = size - sum(each.size(what) for each in held if each.fixed)
    held = [each for each in held if each.fixed or each.size(what) <= room]

    removals = plan(held, of(what, Limits(size=size)))

    gone = line(held, what)[: len(removals)]
    assert {removal.id for removal in removals} == set(gone)
    sizes = {each.id: each.size(what) for each in held}
    assert sum(sizes.values()) - sum(sizes[each] for each in gone[:-1]) > size or not gone


@given(WHOLE, DISKS, st.floats(0, 0.9), st.integers(0, 500))
def test_for_the_disk_cores_go_in_line_and_no_more_than_needed(
    held: list[StoredCrash], disk: Disk, minimum_free: float, needed: int
) -> None:
    cores = [replace(each, texts=0, record=0) for each in held]
    everything = sum(each.core for each in cores if not each.fixed)
    wanted = needed if everything >= disk.lacks(minimum_free, needed) else 0

    removals = plan(cores, settings(minimum_free=minimum_free), disk=disk, needed=needed)

    gone = line(cores, RemovedPart.CORE)[: len(removals)]
    assert {removal.id for removal in removals} == set(gone)
    but_the_last = [removal for removal in removals if removal.id in gone[:-1]]
    assert not gone or freed(disk, but_the_last).lacks(minimum_free, wanted) > 0


@given(HELD, SETTINGS, DISKS, CLOCKS)
def test_a_plan_names_what_is_held_and_each_crash_once(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    removals = plan(held, limits, disk=disk, now=now)

    by_id = {each.id: each for each in held}
    assert len({removal.id for removal in removals}) == len(removals)
    for removal in removals:
        crash = by_id[removal.id]
        assert crash.has(removal.what)
        assert removal.bytes == sum(crash.size(what) for what in removal.what.included)


@given(HELD, SETTINGS, CLOCKS)
def test_where_there_are_not_too_many_texts_or_records_few_crashes_decide(
    held: list[StoredCrash], limits: RetentionSettings, now: datetime | None
) -> None:
    limits = replace(limits, minimum_free=0.0)
    few = [each for each in held if concerns(limits, now, each)]

    whole = plan(held, limits, now=now)

    assert exceeds(held, limits) or plan(few, within(limits), now=now) == whole


@given(WHOLE, LIMITS, CLOCKS)
def test_where_no_text_or_record_is_too_old_either_the_crashes_with_cores_decide(
    held: list[StoredCrash], of_cores: Limits, now: datetime | None
) -> None:
    limits = settings(cores=of_cores)

    whole = plan(held, limits, now=now)

    assert plan([each for each in held if each.core], within(limits), now=now) == whole


def exceeds(held: Sequence[StoredCrash], limits: RetentionSettings) -> bool:
    return StoreTotals.of({what: each.size(what) for what in RemovedPart} for each in held).exceeds(limits)


def test_a_store_holds_too_much_by_number_by_size_or_of_one_signature() -> None:
    held = [holding(day, texts=10) for day in (1, 2)]

    for what in (RemovedPart.TEXT, RemovedPart.RECORD):
        assert exceeds(held, of(what, Limits(count=1)))
        assert exceeds(held, of(what, Limits(size=1)))
        assert exceeds(held, of(what, Limits(per_signature=1)))
        assert not exceeds(held, of(what, Limits(age=1, size=20, count=2, per_signature=2)))
    assert not exceeds(held, of(RemovedPart.CORE, Limits(count=1)))


@given(HELD, st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_a_clock_that_jumps_back_makes_nothing_older(held: list[StoredCrash], one: datetime, other: datetime) -> None:
    ages = settings(cores=Limits(age=DAY), texts=Limits(age=2 * DAY), records=Limits(age=3 * DAY))

    earlier, later = (plan(held, ages, now=now) for now in sorted((one, other)))

    assert {removal.id for removal in earlier} <= {removal.id for removal in later}


@given(HELD, SETTINGS, DISKS, st.randoms())
def test_the_order_in_which_crashes_are_found_does_not_matter(
    held: list[StoredCrash], limits: RetentionSettings, disk: Disk, random: Random
) -> None:
    assert plan(random.sample(held, len(held)), limits, disk=disk) == plan(held, limits, disk=disk)
