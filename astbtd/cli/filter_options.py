"""The options --since, --until and --limit of `list` and `top`: parse them, filter by them."""

import argparse
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import dropwhile, takewhile

from astbtd.errors import NothingMatched, UsageError
from astbtd.lib.quantities import parse_duration
from astbtd.store.id_lookup import empty_store_error
from astbtd.store.record import RecordSummary
from astbtd.store.store import Store

_RELATIVE_TIME = re.compile(r"-(?P<minus>.+)|(?P<ago>.+?)\s+ago")
_DAY_OFFSETS = {"today": 0, "yesterday": -1, "tomorrow": 1}


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Add --since, --until and --limit."""
    parser.add_argument("--since", metavar="TIME", type=parse_time, help="omit crashes before this time, e.g. '2h ago'")
    parser.add_argument("--until", metavar="TIME", type=parse_time, help="omit crashes after this time")
    parser.add_argument("--limit", metavar="N", type=_positive_number, help="print at most N entries")


def filter_by_time(crashes: Iterator[RecordSummary], options: argparse.Namespace) -> Iterator[RecordSummary]:
    """Return the crashes between --since and --until, both included.

    `crashes` must be ordered newest first. Crashes older than --since are not read.
    """
    if options.until:
        crashes = dropwhile(lambda crash: crash.crashed_at > options.until, crashes)
    if options.since:
        crashes = takewhile(lambda crash: crash.crashed_at >= options.since, crashes)
    return crashes


def is_within_period(moment: datetime, options: argparse.Namespace) -> bool:
    """Return whether a time is between --since and --until, both included."""
    if options.since and moment < options.since:
        return False
    return not (options.until and moment > options.until)


def no_match_error(store: Store) -> NothingMatched:
    """Return the error to raise instead of printing an empty table."""
    if store.ids():
        return NothingMatched(f"no crash in {store.root} matches", "omit one of the filters")
    return empty_store_error(store)


def parse_time(text: str, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> datetime:
    """Parse a time as journalctl(1) accepts it: `2026-11-22`, `2026-11-22 20:50`, RFC 3339, `today`, `yesterday`,
    `tomorrow`, `now`, `2h ago`, `-2h`, `@1795388813`.

    Times without a zone are local. Raises UsageError.
    """
    text = text.strip()
    try:
        return _parse_relative_time(text, now()) or datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        accepted = "'2026-11-22 20:50', 'today', 'yesterday', '2h ago' or '@1795388813'"
        raise UsageError(f"invalid time {text!r}", f"use a form such as {accepted}") from error


def _parse_relative_time(text: str, now: datetime) -> datetime | None:
    """Parse the forms that datetime does not; return None for others."""
    if text == "now":
        return now
    if text in _DAY_OFFSETS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=_DAY_OFFSETS[text])
    if text.startswith("@"):
        return datetime.fromtimestamp(float(text[1:])).astimezone()
    if match := _RELATIVE_TIME.fullmatch(text):
        return now - timedelta(seconds=parse_duration(match["minus"] or match["ago"]))
    return None


def _positive_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid number {text!r}: must be a whole number, at least 1")
    return int(text)
