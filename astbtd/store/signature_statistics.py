"""Counts the crashes of each signature: how often, since when, in which versions, and the trend."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from astbtd.model.diagnosis import Signature
from astbtd.model.record_summary import CoreState, CrashSignature
from astbtd.store.record import RecordSummary, SiteFields

PERIODS = 12


@dataclass(frozen=True)
class Trend:
    """The number of crashes in each of PERIODS equal parts of the time from `since` to `until`."""

    since: datetime
    until: datetime
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SignatureCount:
    """The statistics of one signature.

    `first_seen` is the first crash ever, whose record may be removed; `last_seen` is the newest crash counted. The
    versions are in the order of their first crash.
    """

    signature: Signature
    count: int
    first_seen: datetime
    last_seen: datetime
    versions: tuple[str, ...]
    trend: Trend


def count_by_signature(
    crashes: Iterable[RecordSummary], since: datetime | None, until: datetime
) -> list[SignatureCount]:
    """Count the crashes of each signature. The most frequent comes first; of equally frequent ones, the last seen.

    Trends go from `since` (default: the oldest crash) to `until` or the newest crash, whichever is later.
    """
    by_time = sorted(crashes, key=lambda crash: (crash.crashed_at, crash.id))
    if not by_time:
        return []
    by_signature = defaultdict(list)
    for crash in by_time:
        if crash.signature is not None and not crash.foreign:
            by_signature[crash.signature.id].append((crash, crash.signature))
    begin = since or by_time[0].crashed_at
    end = max(until, by_time[-1].crashed_at)
    counts = [_count_signature(group, begin, end) for group in by_signature.values()]
    return sorted(counts, key=lambda each: (each.count, each.last_seen), reverse=True)


@dataclass(frozen=True)
class SiteCount:
    """The statistics of one site of a signature: its id, None for crashes whose site is not known, and its place.

    `place` is the innermost frame in an object, as `OBJECT+OFFSET`, that decides the site; None if there is none.
    """

    site: str | None
    place: str | None
    build_id: str | None
    count: int
    cores: int
    first_seen: datetime
    last_seen: datetime
    versions: tuple[str, ...]


def count_by_site(crashes: Iterable[SiteFields]) -> list[SiteCount]:
    """Count the crashes at each site. The most frequent comes first; of equally frequent ones, the last seen.

    Sites of different builds of the program are different, even if their frames are the same.
    """
    groups = defaultdict(list)
    for crash in sorted(crashes, key=lambda crash: (crash.crashed_at, crash.id)):
        groups[crash.process.build_id, crash.site.id if crash.site else None].append(crash)
    counts = [_count_site(group) for group in groups.values()]
    return sorted(counts, key=lambda each: (each.count, each.last_seen), reverse=True)


def _count_site(by_time: Sequence[SiteFields]) -> SiteCount:
    newest = by_time[-1]
    versions = dict.fromkeys(crash.asterisk.version for crash in by_time)
    return SiteCount(
        newest.site.id if newest.site else None,
        newest.place,
        newest.process.build_id,
        len(by_time),
        sum(crash.core.state is CoreState.KEPT for crash in by_time),
        by_time[0].crashed_at,
        newest.crashed_at,
        tuple(version for version in versions if version),
    )


def _count_signature(
    by_time: Sequence[tuple[RecordSummary, CrashSignature]], since: datetime, until: datetime
) -> SignatureCount:
    newest, signature = by_time[-1]
    versions = dict.fromkeys(crash.asterisk.version for crash, _ in by_time)
    return SignatureCount(
        Signature(signature.id, signature.text),
        len(by_time),
        min(each.first_seen for _, each in by_time),
        newest.crashed_at,
        tuple(version for version in versions if version),
        Trend(since, until, _count_by_period([crash.crashed_at for crash, _ in by_time], since, until)),
    )


def _count_by_period(moments: Iterable[datetime], since: datetime, until: datetime) -> tuple[int, ...]:
    counts = [0] * PERIODS
    for moment in moments:
        share = (moment - since) / (until - since) if until > since else 1.0
        period = min(int(share * PERIODS), PERIODS - 1)  # `until` itself belongs to the last period
        counts[period] += 1
    return tuple(counts)
