"""What each limit declares, so that no more records are read than needed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.settings import Limits, RetentionSettings
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.limits import LIMITS, Conditions, Limit
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from tests.support.builders import NOON

NO_LIMITS = RetentionSettings(Limits(), Limits(), Limits(), 0)
EMPTY_DISK = Disk(free=1000, total=1000)


def configured(settings: RetentionSettings, disk: Disk = EMPTY_DISK) -> list[Limit]:
    conditions = Conditions(settings, disk, NOON)
    return [limit for kind in LIMITS for limit in kind.configured(conditions)]


def may_be_exceeded(settings: RetentionSettings, totals: StoreTotals, disk: Disk = EMPTY_DISK) -> bool:
    """Whether one of the limits that does not depend on time alone may be exceeded."""
    limits = configured(settings, disk)
    return any(limit.may_be_exceeded(totals) for limit in limits if not limit.only_time_matters)


def totals(count: int, size: int) -> StoreTotals:
    return StoreTotals.from_part_sizes([{RemovedPart.TEXT: size, RemovedPart.RECORD: size}] * count)


EXCEEDED_BY_TWO = [Limits(count=1), Limits(size=19), Limits(per_signature=1)]
"""Limits that two crashes of 10 bytes exceed, and one does not."""


@pytest.mark.parametrize(
    "settings",
    [
        *(replace(NO_LIMITS, texts=limits) for limits in EXCEEDED_BY_TWO),
        *(replace(NO_LIMITS, records=limits) for limits in EXCEEDED_BY_TWO),
    ],
)
def test_a_limit_on_texts_or_records_may_be_exceeded_only_if_the_totals_are(settings: RetentionSettings) -> None:
    assert may_be_exceeded(settings, totals(count=2, size=10))
    assert not may_be_exceeded(settings, totals(count=1, size=10))


def test_a_limit_on_cores_is_always_planned() -> None:
    settings = RetentionSettings(Limits(count=1), Limits(), Limits(), 0)

    assert may_be_exceeded(settings, StoreTotals())


def test_the_disk_limit_may_be_exceeded_only_if_the_disk_is_short() -> None:
    settings = RetentionSettings(Limits(), Limits(), Limits(), minimum_free=0.5)

    assert may_be_exceeded(settings, StoreTotals(), Disk(free=499, total=1000))
    assert not may_be_exceeded(settings, StoreTotals(), Disk(free=500, total=1000))


def test_an_age_limit_concerns_only_crashes_that_are_too_old() -> None:
    (limit,) = (
        each for each in configured(RetentionSettings(Limits(), Limits(age=60), Limits(), 0)) if "older" in each.reason
    )
    crashes = [
        StoredCrash(f"{seconds}", NOON, NOON - timedelta(seconds=seconds), "a", core=0, texts=1, record=1)
        for seconds in (59, 61)
    ]

    assert [limit.concerns(crash) for crash in crashes] == [False, True]


def test_there_is_no_age_limit_while_the_time_is_not_known() -> None:
    ages = RetentionSettings(Limits(age=1), Limits(age=1), Limits(age=1), 0)

    limits = [limit for kind in LIMITS for limit in kind.configured(Conditions(ages, EMPTY_DISK, now=None))]

    assert not any("older" in limit.reason for limit in limits)
