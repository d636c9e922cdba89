"""What retention removes: in removal order, no more than needed, and nothing of pinned or unprocessed crashes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.limits import Conditions
from astbtd.store.retention.policy import Policy
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from tests.support.builders import NOON

DAY = 86400.0
TODAY = NOON + timedelta(days=100)
UNLIMITED = Limits()
EMPTY_DISK = Disk(free=1 << 40, total=1 << 40)


def stored_crash(
    day: float,
    *,
    signature: str | None = "a",
    site: str | None = None,
    core: int = 0,
    texts: int = 0,
    record: int = 1,
    collected: float | None = None,
    fixed: bool = False,
    unfinished: RemovedPart | None = None,
) -> StoredCrash:
    """A crash `day` days after NOON, collected at the same time by default."""
    crashed_at = NOON + timedelta(days=day)
    collected_at = NOON + timedelta(days=day if collected is None else collected)
    return StoredCrash(
        f"{day:g}", crashed_at, collected_at, signature, core, texts, record, fixed, unfinished, site=site
    )


def settings(
    *, cores: Limits = UNLIMITED, texts: Limits = UNLIMITED, records: Limits = UNLIMITED, minimum_free: float = 0
) -> RetentionSettings:
    return RetentionSettings(cores, texts, records, minimum_free)


def limits_of(part: RemovedPart, limits: Limits) -> RetentionSettings:
    """Limits on one part alone."""
    one = settings()
    return {
        RemovedPart.CORE: replace(one, cores=limits),
        RemovedPart.TEXT: replace(one, texts=limits),
        RemovedPart.RECORD: replace(one, records=limits),
    }[part]


def plan(
    stored: Sequence[StoredCrash],
    limits: RetentionSettings,
    *,
    disk: Disk = EMPTY_DISK,
    now: datetime | None = TODAY,
    needed: int = 0,
) -> tuple[Removal, ...]:
    return Policy.from_conditions(Conditions(limits, disk, now, needed)).plan(stored)


def named(removals: Sequence[Removal]) -> list[str]:
    return [f"{removal.what} {removal.id}" for removal in removals]


def reasons(removals: Sequence[Removal]) -> set[str]:
    return {removal.reason for removal in removals}


def after(stored: Sequence[StoredCrash], removals: Collection[Removal]) -> list[StoredCrash]:
    """What is stored after the plan was carried out."""
    taken = {removal.id: removal.what.included for removal in removals}
    kept = []
    for each in stored:
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


def removal_order(stored: Sequence[StoredCrash], what: RemovedPart) -> list[str]:
    """The ids, first to be removed first: duplicates and unnamed ones, then the first and newest of a site.

    Last of all come the newest of each signature.
    """
    having = sorted((each for each in stored if each.has(what)), key=lambda each: (each.crashed_at, each.id))
    last = [each for each in having if each.signature and each is _alike(having, each, "signature")[-1]]
    newest = [each for each in having if each.signature and each is _alike(having, each, "group")[-1]]
    first = [each for each in having if each.signature and each is _alike(having, each, "group")[0]]
    in_order = list(reversed(dict.fromkeys(reversed([*having, *first, *newest, *last]))))
    return [each.id for each in in_order if not each.fixed]


def _alike(stored: Sequence[StoredCrash], crash: StoredCrash, by: str) -> list[StoredCrash]:
    return [each for each in stored if getattr(each, by) == getattr(crash, by)]


def test_nothing_is_removed_within_the_limits() -> None:
    assert plan([stored_crash(99, core=5, texts=5)], RetentionSettings()) == ()


def test_the_default_limits_are_the_documented_ones() -> None:
    year = 365.25 * DAY

    assert RetentionSettings() == RetentionSettings(
        cores=Limits(age=14 * DAY, size=10 << 30, per_signature=3),
        texts=Limits(age=year, size=2 << 30),
        records=Limits(age=5 * year, count=100_000),
        minimum_free=0.10,
    )


def test_each_part_is_removed_when_it_exceeds_its_own_age_limit() -> None:
    stored = [stored_crash(10, core=7, texts=1), stored_crash(60, core=7, texts=1), stored_crash(95, core=7, texts=1)]
    limits = settings(cores=Limits(age=14 * DAY), texts=Limits(age=50 * DAY), records=Limits(age=99 * DAY))

    removals = plan(stored, limits)

    assert removals == (
        Removal("60", RemovedPart.CORE, 7, "older than 14d"),
        Removal("10", RemovedPart.TEXT, 8, "older than 50d"),
    )


def test_removing_texts_removes_the_core_and_removing_the_record_removes_everything() -> None:
    stored = [stored_crash(1, core=7, texts=3, record=2), stored_crash(50, core=7, texts=3, record=2)]
    limits = settings(texts=Limits(age=60 * DAY, count=0), records=Limits(age=60 * DAY))

    removals = plan(stored, limits)

    assert [(removal.what, removal.bytes) for removal in removals] == [(RemovedPart.TEXT, 10), (RemovedPart.RECORD, 12)]


def test_the_first_and_the_newest_of_a_signature_are_kept_and_then_the_newer_ones() -> None:
    stored = [stored_crash(day, core=1) for day in range(6)] + [stored_crash(10, core=1, signature="b")]

    removals = plan(stored, settings(cores=Limits(per_signature=3)))

    assert named(removals) == ["core 1", "core 2", "core 3"]
    assert reasons(removals) == {"more than 3 of its site"}


def test_the_limit_counts_each_site_of_a_signature_by_itself() -> None:
    stored = [stored_crash(day, core=1, site="x" if day % 2 else "y") for day in range(8)]

    assert named(plan(stored, settings(cores=Limits(per_signature=3)))) == ["core 2", "core 3"]


def test_crashes_that_are_not_grouped_do_not_count_as_one_group() -> None:
    stored = [stored_crash(day, core=1, signature=None) for day in range(8)]

    assert plan(stored, settings(cores=Limits(per_signature=3))) == ()


def test_duplicates_and_unnamed_sites_lose_their_cores_first_and_the_only_core_of_a_signature_last() -> None:
    stored = [
        stored_crash(1, core=1, signature="pbx", site="p"),
        *(stored_crash(day, core=1, signature="loop", site="l") for day in (2, 3, 4)),
        stored_crash(5, core=1, signature="loop", site="m"),
        stored_crash(6, core=1, signature=None, site="unnamed"),
        stored_crash(7, core=1, signature="other", site="o"),
    ]

    removed = [{removal.id for removal in plan(stored, settings(cores=Limits(size=size)))} for size in range(7, -1, -1)]

    in_order = [min(more - fewer) for fewer, more in pairwise(removed)]
    assert in_order == ["3", "6", "2", "4", "1", "5", "7"]


def test_the_first_and_the_newest_are_removed_if_the_limit_leaves_no_choice() -> None:
    stored = [stored_crash(1, core=1), stored_crash(2, core=1), stored_crash(3, core=1, signature="b")]

    assert named(plan(stored, settings(cores=Limits(per_signature=1)))) == ["core 1"]
    assert named(plan(stored, settings(cores=Limits(count=1)))) == ["core 1", "core 2"]
    assert named(plan(stored, settings(cores=Limits(age=DAY)))) == ["core 1", "core 2", "core 3"]


def test_the_first_and_the_newest_are_chosen_among_crashes_that_have_the_part() -> None:
    stored = [
        stored_crash(1, texts=1),
        *(stored_crash(day, core=1, texts=1) for day in (2, 3, 4, 5)),
        stored_crash(6, texts=1),
    ]

    removals = plan(stored, settings(cores=Limits(count=2)))

    assert named(removals) == ["core 3", "core 4"]


def test_the_oldest_are_removed_first_if_the_size_is_exceeded() -> None:
    stored = [stored_crash(day, core=4) for day in (3, 1, 4, 2, 5)]

    removals = plan(stored, settings(cores=Limits(size=12)))

    assert named(removals) == ["core 2", "core 3"]
    assert reasons(removals) == {"beyond 12B in all"}


def test_a_core_that_exceeds_the_size_limit_alone_is_removed_alone() -> None:
    stored = [stored_crash(1, core=4), stored_crash(2, core=4), stored_crash(3, core=100)]

    assert named(plan(stored, settings(cores=Limits(size=10)))) == ["core 3"]


def test_records_beyond_their_count_are_removed() -> None:
    stored = [stored_crash(day) for day in range(5)]

    removals = plan(stored, settings(records=Limits(count=3)))

    assert removals == (
        Removal("1", RemovedPart.RECORD, 1, "more than 3 in all"),
        Removal("2", RemovedPart.RECORD, 1, "more than 3 in all"),
    )


def test_pinned_crashes_are_kept_and_count_for_the_limits() -> None:
    stored = [
        stored_crash(1, core=6, fixed=True),
        stored_crash(2, core=3, signature="b"),
        stored_crash(3, core=3, signature="c"),
    ]

    assert named(plan(stored, settings(cores=Limits(size=10, age=50 * DAY)), now=NOON)) == ["core 2"]
    assert named(plan(stored, settings(cores=Limits(size=5, age=50 * DAY)), now=NOON)) == ["core 2", "core 3"]


def test_an_interrupted_removal_is_finished_whatever_the_limits() -> None:
    stored = [
        stored_crash(1, core=5, texts=5, unfinished=RemovedPart.CORE),
        stored_crash(2, texts=5, unfinished=RemovedPart.TEXT),
    ]

    removals = plan(stored, settings())

    assert named(removals) == ["core 1", "text 2"]
    assert reasons(removals) == {"its removal was interrupted"}


DISK = Disk(free=50, total=1000)


def test_a_short_disk_costs_cores_until_the_minimum_is_free() -> None:
    stored = [stored_crash(day, core=20, texts=20) for day in (1, 2, 3, 4, 5)]

    removals = plan(stored, settings(minimum_free=0.1), disk=DISK)

    assert named(removals) == ["core 2", "core 3", "core 4"]
    assert reasons(removals) == {"less than 10% of the disk free"}


def test_a_short_disk_costs_texts_after_all_cores_and_records_after_all_texts() -> None:
    stored = [stored_crash(day, core=5, texts=10, record=20) for day in (1, 2)]

    removals = plan(stored, settings(minimum_free=0.1), disk=DISK)

    assert named(removals) == ["text 2", "record 1"]


def test_a_short_disk_costs_no_text_if_all_texts_are_not_enough() -> None:
    stored = [stored_crash(day, core=1, texts=1) for day in (1, 2)]

    assert named(plan(stored, settings(minimum_free=0.9), disk=DISK)) == ["core 1", "core 2"]


def test_what_other_limits_remove_counts_as_free_disk() -> None:
    stored = [stored_crash(day, core=30) for day in (1, 2, 3, 4)]

    removals = plan(stored, settings(cores=Limits(count=2), minimum_free=0.1), disk=DISK)

    assert named(removals) == ["core 2", "core 3"]
    assert reasons(removals) == {"more than 2 in all"}


def test_older_cores_are_removed_for_a_core_that_needs_space() -> None:
    stored = [stored_crash(day, core=20) for day in (1, 2, 3)]

    removals = plan(stored, settings(minimum_free=0.04), disk=DISK, needed=25)

    assert named(removals) == ["core 2"]


def test_nothing_is_removed_for_a_core_that_does_not_fit_anyway() -> None:
    stored = [stored_crash(day, core=20, texts=500) for day in (1, 2, 3)]

    assert plan(stored, settings(minimum_free=0.04), disk=DISK, needed=100) == ()


def test_age_counts_from_collection_and_not_from_a_crash_time_of_a_wrong_clock() -> None:
    limits = settings(cores=Limits(age=14 * DAY))

    assert plan([stored_crash(-20_000, core=1, collected=99)], limits) == ()
    assert named(plan([stored_crash(30_000, core=1, collected=1)], limits)) == ["core 30000"]


def test_without_a_trusted_time_all_limits_but_the_age_are_enforced() -> None:
    stored = [stored_crash(day, core=1) for day in (1, 2, 3)]

    removals = plan(stored, settings(cores=Limits(age=1, count=2)), now=None)

    assert reasons(removals) == {"more than 2 in all"}


@st.composite
def crashes(draw: st.DrawFn) -> StoredCrash:
    """A crash of one of three signatures or of none; some are pinned or have an interrupted removal."""
    core, texts = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    return stored_crash(
        draw(st.floats(-50, 200)),
        signature=draw(st.sampled_from(("a", "b", "c", None))),
        site=draw(st.sampled_from(("x", "y", None))),
        core=core,
        texts=texts,
        record=draw(st.integers(0, 9)),
        collected=draw(st.floats(-50, 200)),
        fixed=draw(st.sampled_from((False, False, False, True))),
        unfinished=draw(
            st.sampled_from((None, None, RemovedPart.CORE if core else None, RemovedPart.TEXT if texts else None))
        ),
    )


STORED = st.lists(crashes(), max_size=15, unique_by=lambda each: each.id)
UNDISTURBED = STORED.map(lambda stored: [replace(each, unfinished=None) for each in stored])
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


@given(STORED, SETTINGS, DISKS, CLOCKS, st.integers(0, 500))
def test_pinned_and_unprocessed_crashes_lose_nothing(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None, needed: int
) -> None:
    removals = plan(stored, limits, disk=disk, now=now, needed=needed)

    assert {removal.id for removal in removals} & {each.id for each in stored if each.fixed} == set()


@dataclass(frozen=True)
class Kept:
    """What is left of one part, and its limits."""

    having: list[StoredCrash]
    what: RemovedPart
    limits: Limits

    @property
    def has_removable(self) -> bool:
        return any(not each.fixed for each in self.having)

    def exceeds_age(self, now: datetime) -> bool:
        age = self.limits.age
        removable = [each for each in self.having if not each.fixed]
        return age is not None and any((now - each.collected_at).total_seconds() > age for each in removable)

    def exceeds_size(self) -> bool:
        return self.limits.size is not None and sum(each.size(self.what) for each in self.having) > self.limits.size

    def exceeds_count(self) -> bool:
        return self.limits.count is not None and len(self.having) > self.limits.count

    def of(self, group: str) -> "Kept":
        alike = [each for each in self.having if each.group == group]
        return Kept(alike, self.what, Limits(count=self.limits.per_signature))


@given(STORED, SETTINGS, DISKS, CLOCKS)
def test_no_limit_stays_exceeded_if_something_can_be_removed(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    left = after(stored, plan(stored, limits, disk=disk, now=now))

    tiers = {RemovedPart.CORE: limits.cores, RemovedPart.TEXT: limits.texts, RemovedPart.RECORD: limits.records}
    for what, limit in tiers.items():
        kept = Kept([each for each in left if each.has(what)], what, limit)
        assert now is None or not kept.exceeds_age(now)
        assert not (kept.exceeds_size() and kept.has_removable)
        assert not (kept.exceeds_count() and kept.has_removable)
        alike = [kept.of(group) for group in {each.group for each in kept.having}]
        assert not any(each.exceeds_count() and each.has_removable for each in alike)


@given(STORED, SETTINGS, DISKS)
def test_the_disk_has_its_minimum_free_or_no_removable_core_is_left(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk
) -> None:
    removals = plan(stored, limits, disk=disk)

    lacking = freed(disk, removals).missing(limits.minimum_free)
    removable = [each for each in after(stored, removals) if not each.fixed]
    if lacking > 0:
        assert not any(each.core for each in removable)
        assert sum(each.texts + each.record for each in removable) < lacking


@given(STORED, SETTINGS, DISKS, CLOCKS)
def test_a_second_run_removes_nothing_more(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    removals = plan(stored, limits, disk=disk, now=now)

    assert plan(after(stored, removals), limits, disk=freed(disk, removals), now=now) == ()


@given(UNDISTURBED, st.sampled_from(RemovedPart), st.integers(0, 15))
def test_a_count_limit_follows_the_removal_order(stored: list[StoredCrash], what: RemovedPart, count: int) -> None:
    removals = plan(stored, limits_of(what, Limits(count=count)))

    excess = max(0, sum(each.has(what) for each in stored) - count)
    assert {removal.id for removal in removals} == set(removal_order(stored, what)[:excess])


@given(UNDISTURBED, st.sampled_from(RemovedPart), st.integers(0, 5))
def test_a_site_limit_follows_the_removal_order_of_the_site(
    stored: list[StoredCrash], what: RemovedPart, count: int
) -> None:
    removals = plan(stored, limits_of(what, Limits(per_signature=count)))

    for group in {each.group for each in stored}:
        alike = [each for each in stored if each.group == group]
        excess = max(0, sum(each.has(what) for each in alike) - count)
        gone = {removal.id for removal in removals} & {each.id for each in alike}
        assert gone == set(removal_order(alike, what)[:excess])


@given(UNDISTURBED, st.sampled_from(RemovedPart), st.integers(0, 300))
def test_a_size_limit_follows_the_removal_order_and_removes_no_more_than_needed(
    stored: list[StoredCrash], what: RemovedPart, size: int
) -> None:
    room = size - sum(each.size(what) for each in stored if each.fixed)
    stored = [each for each in stored if each.fixed or each.size(what) <= room]

    removals = plan(stored, limits_of(what, Limits(size=size)))

    gone = removal_order(stored, what)[: len(removals)]
    assert {removal.id for removal in removals} == set(gone)
    sizes = {each.id: each.size(what) for each in stored}
    assert sum(sizes.values()) - sum(sizes[each] for each in gone[:-1]) > size or not gone


@given(UNDISTURBED, DISKS, st.floats(0, 0.9), st.integers(0, 500))
def test_a_short_disk_costs_cores_in_removal_order_and_no_more_than_needed(
    stored: list[StoredCrash], disk: Disk, minimum_free: float, needed: int
) -> None:
    cores = [replace(each, texts=0, record=0) for each in stored]
    everything = sum(each.core for each in cores if not each.fixed)
    wanted = needed if everything >= disk.missing(minimum_free, needed) else 0

    removals = plan(cores, settings(minimum_free=minimum_free), disk=disk, needed=needed)

    gone = removal_order(cores, RemovedPart.CORE)[: len(removals)]
    assert {removal.id for removal in removals} == set(gone)
    but_the_last = [removal for removal in removals if removal.id in gone[:-1]]
    assert not gone or freed(disk, but_the_last).missing(minimum_free, wanted) > 0


@given(STORED, SETTINGS, DISKS, CLOCKS)
def test_a_plan_removes_what_is_stored_and_lists_each_crash_once(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    removals = plan(stored, limits, disk=disk, now=now)

    by_id = {each.id: each for each in stored}
    assert len({removal.id for removal in removals}) == len(removals)
    for removal in removals:
        crash = by_id[removal.id]
        assert crash.has(removal.what)
        assert removal.bytes == sum(crash.size(what) for what in removal.what.included)


@given(STORED, SETTINGS, DISKS, CLOCKS)
def test_a_narrowed_policy_makes_the_same_plan_from_the_crashes_that_it_concerns(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, now: datetime | None
) -> None:
    whole = Policy.from_conditions(Conditions(limits, disk, now))

    narrowed = whole.narrow(totals(stored), after_crash=False)

    assert narrowed.plan(list(filter(narrowed.concerns, stored))) == whole.plan(stored)


@given(UNDISTURBED, SETTINGS, DISKS)
def test_after_a_crash_the_plan_is_the_same_if_nothing_is_too_old(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk
) -> None:
    whole = Policy.from_conditions(Conditions(limits, disk, now=None))

    narrowed = whole.narrow(totals(stored), after_crash=True)

    read = [crash for crash in stored if crash.core] if narrowed.needs_only_cores else stored
    assert narrowed.plan(list(filter(narrowed.concerns, read))) == whole.plan(stored)


@given(STORED, LIMITS, CLOCKS)
def test_after_a_crash_the_crashes_with_cores_are_enough_for_limits_on_cores_alone(
    stored: list[StoredCrash], of_cores: Limits, now: datetime | None
) -> None:
    whole = Policy.from_conditions(Conditions(settings(cores=of_cores), EMPTY_DISK, now))

    narrowed = whole.narrow(totals(stored), after_crash=True)

    assert narrowed.needs_only_cores
    of_texts = {removal.id for removal in whole.plan(stored) if removal.what is RemovedPart.TEXT}
    without_cores = {crash.id for crash in stored if not crash.core}
    plan_of_cores = narrowed.plan([crash for crash in stored if crash.core])
    assert plan_of_cores == tuple(one for one in whole.plan(stored) if one.id not in of_texts & without_cores)


def totals(stored: Sequence[StoredCrash]) -> StoreTotals:
    return StoreTotals.from_part_sizes({part: crash.size(part) for part in RemovedPart} for crash in stored)


@given(STORED, st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_a_clock_that_is_set_back_makes_nothing_older(
    stored: list[StoredCrash], one: datetime, other: datetime
) -> None:
    ages = settings(cores=Limits(age=DAY), texts=Limits(age=2 * DAY), records=Limits(age=3 * DAY))

    earlier, later = (plan(stored, ages, now=now) for now in sorted((one, other)))

    assert {removal.id for removal in earlier} <= {removal.id for removal in later}


@given(STORED, SETTINGS, DISKS, st.randoms())
def test_the_order_of_the_input_does_not_matter(
    stored: list[StoredCrash], limits: RetentionSettings, disk: Disk, random: Random
) -> None:
    shuffled = sorted(stored, key=lambda _: random.random())

    assert plan(shuffled, limits, disk=disk) == plan(stored, limits, disk=disk)
