"""Parse and format durations, sizes, percentages and times as people write them."""

import math
import re
from datetime import UTC, datetime

_SECONDS = {
    "": 1.0,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "month": 30.4375 * 86400.0,
    "y": 365.25 * 86400.0,
}
_OTHER_NAMES = {
    "us": ("µs", "usec"),
    "ms": ("msec",),
    "s": ("sec", "second", "seconds"),
    "min": ("minute", "minutes"),
    "h": ("hr", "hour", "hours"),
    "d": ("day", "days"),
    "w": ("week", "weeks"),
    "month": ("months",),
    "y": ("year", "years"),
}
_SECONDS |= {name: _SECONDS[unit] for unit, names in _OTHER_NAMES.items() for name in names}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]*)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")

DURATION_ALLOWED = "a duration such as 30s, 5min, 2h, 14d, 1y"
SIZE_ALLOWED = "a size such as 64M or 10G (powers of 1024)"
PERCENT_ALLOWED = "a percentage from 0% to 90%"


def parse_duration(value: object) -> float:
    """Parse `90`, `5min`, `1h 30min` or `14d` into seconds; units as in systemd.time(7). Raises ValueError."""
    text = _as_text(value)
    parts = list(_DURATION.finditer(text))
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(text)
    if any(part[2] not in _SECONDS for part in parts):
        raise ValueError(text)
    return _finite(sum(float(part[1]) * _SECONDS[part[2]] for part in parts))


def parse_size(value: object) -> int:
    """Parse `4096`, `64M` or `10 GiB` into bytes; K, M, G, T are powers of 1024 as in systemd. Raises ValueError."""
    part = _SIZE.fullmatch(_as_text(value))
    if not part:
        raise ValueError(value)
    return int(_finite(float(part[1]) * _BYTES[part[2]]))


def parse_percent(value: object) -> float:
    """Parse a percentage such as `10%` into a fraction from 0 to 0.9. Raises ValueError."""
    part = _PERCENT.fullmatch(_as_text(value))
    if not part or float(part[1]) > 90:
        raise ValueError(value)
    return float(part[1]) / 100


def format_size(count: int) -> str:
    """Format `count` bytes as systemctl does: `734B`, `1.2K`, `120M`."""
    value = float(count)
    for unit in ("B", "K", "M", "G"):
        if value < 1024:
            decimals = 1 if unit != "B" and value < 10 else 0
            return f"{value:.{decimals}f}{unit}"
        value /= 1024
    return f"{value:.1f}T"


def format_duration(seconds: float) -> str:
    """Format `seconds` in the largest unit that fits: `40s`, `5min`, `3h`, `14d`, `1y`."""
    for unit in ("y", "d", "h", "min"):
        if seconds >= _SECONDS[unit]:
            return f"{seconds / _SECONDS[unit]:.3g}{unit}"
    return f"{seconds:.3g}s"


def format_utc(moment: datetime) -> str:
    """Format a time as in reports, which people of other zones read: `2026-11-22 20:50:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_utc_clock(moment: datetime) -> str:
    """Format the time of day as in reports, where the date is obvious: `20:50:00 UTC`."""
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


def format_local(moment: datetime) -> str:
    """Format a time in the zone of this machine, for messages and lists: `2026-11-22 21:50:00 CET`."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def pluralize(number: int, singular: str, plural: str) -> str:
    """Return `number` with the matching noun: `1 core`, `2 cores`."""
    return f"{number} {singular if number == 1 else plural}"


def _as_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    return str(value).strip()


def _finite(number: float) -> float:
    if math.isinf(number):
        raise ValueError(number)
    return number
