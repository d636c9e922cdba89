"""Read from the headers of an answer how long a server wants to get nothing more. Pure.

Retry-After has seconds or a date (RFC 9110, 10.2.3). X-Sentry-Rate-Limits has a list of limits, such as
`60:error;transaction:key, 2700:attachment:organization` (https://develop.sentry.dev/sdk/expected-features/rate-limiting/).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 86_400.0  # seconds; a server that names more is asked again tomorrow
_DEFAULT = 60.0  # seconds, which the protocol prescribes for a 429 that names no time
_OUR_CATEGORIES = ("error", "default")
_TOO_MANY_REQUESTS = 429


def pause_of(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how many seconds nothing must be sent after an answer; None if it says nothing about that.

    The names of `headers` are in lower case. Limits for other things than errors and crashes do not count.
    """
    pause = max(_pauses_for_events(headers.get("x-sentry-rate-limits", "")), default=None)
    if pause is None:
        pause = _retry_after(headers.get("retry-after", ""), now)
    if pause is None and status == _TOO_MANY_REQUESTS:
        pause = _DEFAULT
    return None if pause is None else min(max(0.0, pause), _LONGEST)


def _pauses_for_events(limits: str) -> Iterator[float]:
    for limit in limits.split(","):
        seconds, _, rest = limit.strip().partition(":")
        categories = rest.partition(":")[0].split(";")
        applies = categories == [""] or any(each in _OUR_CATEGORIES for each in categories)
        if applies and seconds.isdecimal():
            yield float(seconds)


def _retry_after(value: str, now: datetime) -> float | None:
    if value.strip().isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:  # an HTTP date is in GMT, which `-0000` does not say
        until = until.replace(tzinfo=UTC)
    return (until - now).total_seconds()
