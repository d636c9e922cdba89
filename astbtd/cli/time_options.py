"""Reads points in time as journalctl(1) takes them for --since and --until."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from astbtd.errors import UsageError
from astbtd.lib import quantities

_AGO = re.compile(r"-(?P<minus>.+)|(?P<ago>.+?)\s+ago")
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


def parse(text: str, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> datetime:
    """`2026-11-22`, `2026-11-22 20:50`, RFC 3339, `today`, `yesterday`, `now`, `2h ago`, `-2h`, `@1795388813`.

    Times without a zone are local. Raises UsageError.
    """
    text = text.strip()
    try:
        return _relative(text, now()) or datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is no time", "write it as '2026-11-22 20:50', 'today', 'yesterday', '2h ago' or '@1795388813'"
        ) from error


def _relative(text: str, now: datetime) -> datetime | None:
    if text == "now":
        return now
    if text in _DAYS:
        return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=_DAYS[text])
    if text.startswith("@"):
        return datetime.fromtimestamp(float(text[1:])).astimezone()
    if part := _AGO.fullmatch(text):
        return now - timedelta(seconds=quantities.duration(part["minus"] or part["ago"]))
    return None
