"""Durations, sizes, percentages and times as people write them."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.lib import quantities

DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
        ("30s", 30),
        ("5min", 300),
        ("2h", 7200),
        ("1h 30min", 5400),
        ("1h30min", 5400),
        ("14d", 14 * DAY),
        ("2w", 14 * DAY),
        ("1 y", 365.25 * DAY),
        (" 0.5h ", 1800),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert quantities.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "5 parsecs", "-5s", "1h, 2h", "5m", "1e3", None, True, [5], "9" * 400])
def test_invalid_durations(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the whole message
        quantities.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4096", 4096),
        (4096, 4096),
        ("1K", 1 << 10),
        ("64M", 64 << 20),
        ("10G", 10 << 30),
        ("10 GiB", 10 << 30),
        ("10GB", 10 << 30),
        ("1.5M", 3 << 19),
        ("2T", 2 << 40),
    ],
)
def test_sizes(text: object, count: int) -> None:
    assert quantities.parse_size(text) == count


@pytest.mark.parametrize("text", ["", "G", "64 megs", "-1M", "1M 1K", None, False, "9" * 400])
def test_invalid_sizes(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the whole message
        quantities.parse_size(text)


@pytest.mark.parametrize(("text", "share"), [("0%", 0), ("10%", 0.1), ("2.5 %", 0.025), ("90%", 0.9)])
def test_percentages(text: str, share: float) -> None:
    assert quantities.parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["10", 10, "91%", "-1%", "ten%", None])
def test_invalid_percentages(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the whole message
        quantities.parse_percent(text)


@given(st.text(alphabet="0123456789.smhdwykKMGTiB% ") | st.integers() | st.floats())
def test_anything_is_a_finite_quantity_or_a_value_error(text: object) -> None:
    for parse in (quantities.parse_duration, quantities.parse_size, quantities.parse_percent):
        try:
            parsed = parse(text)
        except ValueError:
            continue
        assert 0 <= parsed < math.inf


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0B"),
        (734, "734B"),
        (1023, "1023B"),
        (1024, "1.0K"),
        (1229, "1.2K"),
        (120 << 20, "120M"),
        (10 << 30, "10G"),
        (3 << 40, "3.0T"),
    ],
)
def test_formatted_sizes(count: int, shown: str) -> None:
    assert quantities.format_size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0s"), (40, "40s"), (300, "5min"), (5400, "1.5h"), (14 * DAY, "14d"), (365.25 * DAY, "1y")],
)
def test_formatted_durations(seconds: float, shown: str) -> None:
    assert quantities.format_duration(seconds) == shown


@given(st.sampled_from([1, 60, 3600, 86400]), st.integers(1, 59))
def test_a_formatted_duration_can_be_parsed(unit: int, count: int) -> None:
    shown = quantities.format_duration(unit * count)

    assert quantities.parse_duration(shown) == pytest.approx(unit * count, rel=0.01)


@pytest.fixture
def in_cet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine is in central Europe, in winter."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_cet")
def test_times_of_reports_are_in_utc_whatever_zone_they_have() -> None:
    moment = datetime(2026, 11, 22, 15, 50, 7, tzinfo=timezone(timedelta(hours=-5)))

    assert quantities.format_utc(moment) == "2026-11-22 20:50:07 UTC"
    assert quantities.format_utc_clock(moment) == "20:50:07 UTC"


@pytest.mark.usefixtures("in_cet")
def test_other_times_are_in_the_zone_of_the_machine_and_name_it() -> None:
    assert quantities.format_local(datetime(2026, 11, 22, 20, 50, 7, tzinfo=UTC)) == "2026-11-22 21:50:07 CET"
