"""Times as people write them, for --since and --until."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.cli import filter_options
from astbtd.errors import ExitCode, UsageError

NOW = datetime(2026, 11, 22, 20, 50, 7, 123, tzinfo=timezone(timedelta(hours=-5)))
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def parsed(text: str) -> datetime:
    return filter_options.parse_time(text, lambda: NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("today", MIDNIGHT),
        ("yesterday", MIDNIGHT - timedelta(days=1)),
        ("tomorrow", MIDNIGHT + timedelta(days=1)),
        ("2h ago", NOW - timedelta(hours=2)),
        ("1h 30min ago", NOW - timedelta(minutes=90)),
        ("-2h", NOW - timedelta(hours=2)),
        ("+5min", NOW + timedelta(minutes=5)),
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("1 day 3 minutes ago", NOW - timedelta(days=1, minutes=3)),
        ("5m ago", NOW - timedelta(minutes=5)),
        ("1 M ago", NOW - timedelta(seconds=2629800)),
        ("500ms ago", NOW - timedelta(milliseconds=500)),
        ("1min 5 usec ago", NOW - timedelta(minutes=1, microseconds=5)),
        ("2h left", NOW + timedelta(hours=2)),
        ("26-11-22 UTC", datetime(2026, 11, 22, tzinfo=UTC)),
        ("69-1-2 3:04 UTC", datetime(1969, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-11-2 2:50 UTC", datetime(2026, 11, 2, 2, 50, tzinfo=UTC)),
        ("2026-11-22 20:50:07.1 UTC", datetime(2026, 11, 22, 20, 50, 7, 100_000, tzinfo=UTC)),
        ("07:00", MIDNIGHT + timedelta(hours=7)),
        ("7:00:30", MIDNIGHT + timedelta(hours=7, seconds=30)),
        ("2026-11-22 20:50 UTC", datetime(2026, 11, 22, 20, 50, tzinfo=UTC)),
        ("Sun 2026-11-22 20:50:00 UTC", datetime(2026, 11, 22, 20, 50, tzinfo=UTC)),
        ("2026-11-22 20:50 Europe/Berlin", datetime(2026, 11, 22, 19, 50, tzinfo=UTC)),
        ("2026-07-22 Asia/Tokyo", datetime(2026, 7, 21, 15, 0, tzinfo=UTC)),
        (" -30s ", NOW - timedelta(seconds=30)),
        ("@1795388813", datetime.fromtimestamp(1795388813, UTC)),
        ("@0.5", datetime.fromtimestamp(0.5, UTC)),
        ("2026-11-22T20:50:00Z", datetime(2026, 11, 22, 20, 50, tzinfo=UTC)),
        ("2026-11-22T20:50:00+01:00", datetime(2026, 11, 22, 19, 50, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22).astimezone()),
        ("2026-11-22 20:50", datetime(2026, 11, 22, 20, 50).astimezone()),
    ],
)
def test_valid_times_are_parsed(text: str, moment: datetime) -> None:
    assert parsed(text) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "ago", "5 parsecs ago", "2026-13-01", "@", "@nan", "@1e300", "-", "25:00", "99999y ago"]
)
def test_an_invalid_time_is_wrong_usage_with_accepted_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(text)

    assert caught.value.exit_code is ExitCode.USAGE
    assert "2h ago" in caught.value.remedy


@given(st.text())
def test_any_text_is_a_time_with_a_zone_or_wrong_usage(text: str) -> None:
    try:
        moment = parsed(text)
    except UsageError:
        return
    assert moment.tzinfo is not None


@pytest.mark.parametrize("text", ["2026-11-22 20:50 Nowhere/Town", "25:00", "UTC", "2 moons ago", "20:50 ../etc"])
def test_an_unknown_zone_or_unit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid time"):
        parsed(text)


@pytest.mark.parametrize("text", ["11", "SEGV", "segv", "SIGSEGV", "sigsegv"])
def test_a_signal_is_given_by_name_or_number(text: str) -> None:
    assert filter_options.parse_signal(text) == "SIGSEGV"


@pytest.mark.parametrize("text", ["", "0", "999", "SIGNONE", "SIG", "-11", "1.5", "SIG_DFL"])
def test_an_unknown_signal_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="unknown signal"):
        filter_options.parse_signal(text)
