"""Conversion between plain data and dataclasses: nothing is lost, and all errors are reported at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import pytest

from astbtd.lib.serialization import Decoder, HumanFormat, format_rfc3339, json_text, to_plain
from astbtd.model.crash import Crash, ExtractionOutcome
from tests.support.builders import NOON, crash


def _even(value: object) -> int:
    if not isinstance(value, int) or value % 2:
        raise ValueError(value)
    return value


@dataclass(frozen=True)
class Inner:
    speed: float = 1.5
    names: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=lambda: Inner(speed=9.0))
    ended: ExtractionOutcome = ExtractionOutcome.OK
    flag: bool = False
    at: datetime | None = None
    even: Annotated[int | None, HumanFormat(_even, "an even number")] = None
    sizes: Mapping[str, int] = field(default_factory=dict)


def decoded(data: object, *, strict: bool = True) -> tuple[Outer | None, list[str]]:
    decoder = Decoder(strict=strict)
    return decoder.decode(Outer, data, ""), decoder.problems


def problems_of(data: object) -> list[str]:
    result, problems = decoded(data)
    assert result is None
    return problems


@pytest.mark.parametrize("original", [crash(), replace(crash(signal=None), announced_at=NOON, boot_id=None)])
def test_a_crash_is_equal_after_encoding_and_decoding(original: Crash) -> None:
    document = json.loads(json.dumps(to_plain(original)))

    assert Decoder(strict=True).decode(Crash, document, "") == original


def test_missing_keys_get_defaults() -> None:
    assert decoded({"count": 3}) == (Outer(count=3), [])


def test_a_nested_mapping_changes_only_the_keys_it_has() -> None:
    result, _ = decoded({"count": 1, "inner": {"names": []}})

    assert result is not None
    assert result.inner == Inner(speed=9.0, names=())


def test_every_error_is_reported_at_once_with_its_key_path() -> None:
    data = {
        "inner": {"speed": "fast", "names": ["a", 2], "colour": "red"},
        "ended": "well",
        "flag": 1,
        "at": "noon",
        "even": 3,
        "sizes": {"a": "b"},
    }

    assert sorted(problem.split(":")[0] for problem in problems_of(data)) == [
        "at",
        "count",
        "ended",
        "even",
        "flag",
        "inner.colour",
        "inner.names[1]",
        "inner.speed",
        "sizes.a",
    ]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"count": "3"}, "count: must be a whole number, not '3'"),
        ({"count": True}, "count: must be a whole number, not True"),
        ({"count": 1.5}, "count: must be a whole number, not 1.5"),
        ({"count": None}, "count: must be a whole number, not None"),
        ({}, "count: is missing"),
        ({"count": 1, "inner": None}, "inner: must be a mapping, not None"),
        ({"count": 1, "inner": {"speed": True}}, "inner.speed: must be a number, not True"),
        ({"count": 1, "inner": {"names": "a"}}, "inner.names: must be a list, not 'a'"),
        ({"count": 1, "sizes": [1]}, "sizes: must be a mapping, not [1]"),
        ({"count": 1, "flag": "yes"}, "flag: must be true or false, not 'yes'"),
        ({"count": 1, "even": 3}, "even: must be an even number, not 3"),
        ({"count": 1, "at": 5}, "at: must be a time as in RFC 3339, not 5"),
        (
            {"count": 1, "ended": "no"},
            "ended: must be one of ok, timeout, killed, too_much_output, failed, not 'no'",
        ),
        (["count"], "the document: must be a mapping, not ['count']"),
    ],
)
def test_an_error_contains_the_allowed_and_the_found_value(wrong: object, problem: str) -> None:
    assert problems_of(wrong) == [problem]


def test_a_long_value_is_truncated_in_an_error() -> None:
    (problem,) = problems_of({"count": "9" * 1000})

    assert len(problem) < 120


def test_strict_decoding_reports_an_unknown_key_with_the_valid_ones() -> None:
    assert problems_of({"count": 1, "inner": {"sped": 2}}) == ["inner.sped: unknown key; valid keys: speed, names"]
    assert problems_of({"count": 1, "flog": True})[0].startswith("flog: unknown key; valid keys: count, inner,")


def test_lenient_decoding_ignores_an_unknown_key() -> None:
    assert decoded({"count": 1, "colour": "red"}, strict=False) == (Outer(count=1), [])


def test_an_integer_is_accepted_as_a_float() -> None:
    result, _ = decoded({"count": 1, "inner": {"speed": 2}})

    assert result is not None
    assert isinstance(result.inner.speed, float)


@pytest.mark.parametrize("key", ["at", "even"])
def test_null_is_decoded_as_none(key: str) -> None:
    assert decoded({"count": 1, key: None}) == (Outer(count=1), [])


def test_a_time_without_a_zone_is_an_error() -> None:
    assert problems_of({"count": 1, "at": "2026-11-22T12:00:00"}) == [
        "at: must be a time as in RFC 3339, not '2026-11-22T12:00:00'"
    ]


def test_times_are_formatted_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 22, 21, 50, 0, 123_456, tzinfo=timezone(timedelta(hours=1)))

    assert format_rfc3339(moment) == "2026-11-22T20:50:00.123Z"
    assert datetime.fromisoformat(format_rfc3339(moment)).tzinfo == UTC


def test_plain_data_contains_only_json_types() -> None:
    outer = Outer(count=1, at=NOON, sizes={"a": 1})

    assert to_plain(outer) == {
        "count": 1,
        "inner": {"speed": 9.0, "names": ["a", "b"]},
        "ended": "ok",
        "flag": False,
        "at": "2026-11-22T12:00:00.000Z",
        "even": None,
        "sizes": {"a": 1},
    }


@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_contains_no_control_characters_and_is_read_as_before(ascii_only: bool) -> None:
    controls = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
    document = {f"gr\u00fc\u00dfe{controls}": [f'"{controls}\\x9b\u00a0']}

    text = json_text(document, ascii_only=ascii_only)

    assert not set(controls) & set(text)
    assert text.isascii() == ascii_only
    assert json.loads(text) == document
