"""Counts the crashes of each signature: how often, since when, in which versions, and whether it becomes more."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from astbtd.model.crash import Signature
from astbtd.store.outline import RecordSummary

PERIODS = 12


@dataclass(frozen=True)
class Trend:
    """How many crashes there were in each of PERIODS parts, equally long, of the time between."""

    since: datetime
    until: datetime
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SignatureCount:
    """One signature: how many crashes of it were counted, and what they tell.

    `first_seen` is when it was first seen at all, in a crash that is forgotten perhaps; `last_seen` is the newest crash
    counted. The versions are in the order in which they first crashed.
    """

    signature: Signature
    count: int
    first_seen: datetime
    last_seen: datetime
    versions: tuple[str, ...]
    trend: Trend


def tally(crashes: Iterable[RecordSummary], since: datetime | None, until: datetime) -> list[SignatureCount]:
    """The signatures of `crashes`, the most frequent first; of equally frequent ones, the last seen first.

    Their trends go from `since`, or else the oldest crash, to `until`, or the newest crash if that is later.
    """
    by_time = sorted(crashes, key=lambda crash: (crash.crashed_at, crash.id))
    if not by_time:
        return []
    alike = defaultdict(list)
    for crash in by_time:
        alike[crash.signature.id].append(crash)
    begin, end = since or by_time[0].crashed_at, max(until, by_time[-1].crashed_at)
    tallies = [_tally(group, begin, end) for group in alike.values()]
    return sorted(tallies, key=lambda each: (each.count, each.last_seen), reverse=True)


def _tally(by_time: Sequence[RecordSummary], since: datetime, until: datetime) -> SignatureCount:
    newest = by_time[-1]
    versions = dict.fromkeys(crash.asterisk.version for crash in by_time)
    return SignatureCount(
        Signature(newest.signature.id, newest.signature.text),
        len(by_time),
        min(crash.signature.first_seen for crash in by_time),
        newest.crashed_at,
        tuple(version for version in versions if version),
        Trend(since, until, _counts([crash.crashed_at for crash in by_time], since, until)),
    )


def _counts(moments: Iterable[datetime], since: datetime, until: datetime) -> tuple[int, ...]:
    counts = [0] * PERIODS
    for moment in moments:
        share = (moment - since) / (until - since) if until > since else 1.0
        counts[min(int(share * PERIODS), PERIODS - 1)] += 1
    return tuple(counts)
