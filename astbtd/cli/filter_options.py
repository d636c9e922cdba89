"""The options of `list` and `top` that select crashes: parse them, filter by them."""

import argparse
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import dropwhile, takewhile

from astbtd.errors import NothingMatched, UsageError
from astbtd.lib.quantities import parse_duration
from astbtd.store.id_lookup import empty_store_error
from astbtd.store.record import RecordSummary
from astbtd.store.store import Store

_RELATIVE_TIME = re.compile(r"-(?P<minus>.+)|\+(?P<plus>.+)|(?P<ago>.+?)\s+ago|(?P<left>.+?)\s+left")
_WEEKDAY = re.compile(r"^(?:mon|tue(?:s)?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+", re.IGNORECASE)
_DATE = re.compile(r"(?P<year>\d{2}|\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?P<separator>[ T]|$)(?P<time>.*)")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?")
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
    """Parse a time as `journalctl --since` accepts it: `2026-11-22`, `2026-11-22 20:50`, RFC 3339, `07:00`, `today`,
    `yesterday`, `tomorrow`, `now`, `2 hours ago`, `-2h`, `+5min`, `@1795388813`; with a weekday before it, or a zone
    after it, such as `UTC`, `CET` or `Europe/Berlin`.

    Times without a zone are local. Raises UsageError.
    """
    text = text.strip()
    try:
        return _parse_relative_time(text, now()) or _parse_absolute_time(text, now())
    except (ValueError, OverflowError, OSError) as error:
        accepted = "'2026-11-22 20:50', '07:00', 'today', '2h ago', '2026-11-22 20:50 UTC' or '@1795388813'"
        raise UsageError(f"invalid time {text!r}", f"use a form such as {accepted}") from error


def _parse_relative_time(text: str, now: datetime) -> datetime | None:
    """Parse the forms that depend on the present time, and seconds since 1970; return None for others."""
    if text == "now":
        return now
    if text.startswith("@"):
        return datetime.fromtimestamp(float(text[1:])).astimezone()
    if match := _RELATIVE_TIME.fullmatch(text):
        backward, forward = match["minus"] or match["ago"], match["plus"] or match["left"]
        span = timedelta(seconds=_parse_span(backward or forward))
        return now + span if forward else now - span
    return None


def _parse_span(text: str) -> float:
    """Parse a duration in which `m` are minutes and `M` months, which settings do not accept. Raises ValueError."""
    text = re.sub(r"(?<=\d)(\s*)m\b", r"\1min", text)
    return parse_duration(re.sub(r"(?<=\d)(\s*)M\b", r"\1month", text))


def _parse_absolute_time(text: str, now: datetime) -> datetime:
    """Parse a date, a time of day, or both, with an optional weekday and zone. Raises ValueError."""
    moment, zone = _split_zone(_WEEKDAY.sub("", text))
    today = now.astimezone(zone) if zone else now
    if moment in _DAY_OFFSETS:
        parsed = datetime.combine(today + timedelta(days=_DAY_OFFSETS[moment]), time.min, today.tzinfo)
    elif _TIME_OF_DAY.fullmatch(moment):
        parsed = datetime.combine(today, time.fromisoformat(_pad_hour(moment)), today.tzinfo)
    else:
        parsed = datetime.fromisoformat(_pad_date(moment))
    if zone and parsed.tzinfo is None:
        return parsed.replace(tzinfo=zone)
    return parsed.astimezone()


def _pad_hour(time_of_day: str) -> str:
    """Return a time of day, or what begins with one, with two digits for the hour."""
    return f"0{time_of_day}" if time_of_day[1:2] == ":" else time_of_day


def _pad_date(moment: str) -> str:
    """Return a date, and a time that may follow, in the form of ISO 8601. Two digits are a year from 1969 to 2068."""
    date = _DATE.fullmatch(moment)
    if date is None:
        return moment
    year = int(date["year"])
    if len(date["year"]) == 2:
        year += 1900 if year >= 69 else 2000
    padded = f"{year}-{int(date['month']):02}-{int(date['day']):02}"
    return f"{padded}{date['separator']}{_pad_hour(date['time'])}"


def _split_zone(text: str) -> tuple[str, tzinfo | None]:
    """Return the text without the zone at its end, and the zone; None if there is none. Raises ValueError."""
    before, _, name = text.rpartition(" ")
    if not before or not name[0].isalpha():
        return text, None
    if name in ("UTC", "Z"):
        return before, UTC
    if name in _local_names():
        return before, None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # reads files, and is slow to import

    try:
        return before, ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise ValueError(text) from error


def _local_names() -> tuple[str, str]:
    """Return the names of the local zone in winter and in summer, which are printed with each time."""
    import time as clock

    return clock.tzname


def parse_signal(text: str) -> str:
    """Return the full name of a signal, given by number or by name, in any case, with or without `SIG`.

    Raises UsageError.
    """
    import signal  # slow to import, and rarely needed

    try:
        if text.isdecimal():
            return signal.Signals(int(text)).name
        return signal.Signals["SIG" + text.upper().removeprefix("SIG")].name
    except (ValueError, KeyError) as error:
        raise UsageError(f"unknown signal {text!r}", "use a name or a number, such as SIGSEGV or 11") from error


def _positive_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid number {text!r}: must be a whole number, at least 1")
    return int(text)
