"""`astbtd top`: which bugs crash Asterisk most, since when, in which versions, and whether it becomes more."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.lib.serialization import rfc3339
from astbtd.model.crash import RECORD_FILE, Crash
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.harmless import harmless
from tests.unit.cli.conftest import Keep, Run

HOUR = 60
RARE, FREQUENT = "fedcba987654", "0123456789ab"


def of_version(one: Crash, version: str | None) -> Crash:
    return replace(one, asterisk=replace(one.asterisk, version=version))


@pytest.fixture
def five(keep: Keep) -> None:
    """Within twelve hours, four crashes of one bug, the last of them after an upgrade, and one of another."""
    for hour, version in ((0, "20.1.0"), (4, "20.1.0"), (4.5, None), (11.9, "22.10.0")):
        keep(of_version(crash(hour * HOUR), version))
    keep(crash(6 * HOUR, signature=RARE))


PERIOD = ("--since", rfc3339(NOON), "--until", rfc3339(NOON + timedelta(hours=12)))


@pytest.mark.usefixtures("five")
def test_the_most_frequent_signature_comes_first_with_all_that_is_known_of_it(astbtd: Run) -> None:
    heading, frequent, rare, _, legend = astbtd("top", *PERIOD).out.splitlines()

    assert heading.split() == ["COUNT", "TREND", "FIRST", "SEEN", "LAST", "SEEN", "VERSIONS", "ID", "SIGNATURE"]
    assert frequent.split()[:2] == ["4", "▄...█......▄"]
    assert frequent.endswith(f" 20.1.0 22.10.0 {FREQUENT} SIGSEGV ast_bridge_join")
    assert rare.split()[:2] == ["1", "......█....."]
    assert legend.startswith(f"TREND is from {NOON.astimezone():%Y-%m-%d %H:%M} to ")


@pytest.mark.usefixtures("five")
def test_json_is_an_array_of_what_is_promised_and_the_trend(astbtd: Run) -> None:
    frequent, rare = json.loads(astbtd("top", "--json", *PERIOD).out)

    assert frequent == {
        "signature": {"id": FREQUENT, "text": "SIGSEGV ast_bridge_join"},
        "count": 4,
        "first_seen": "2026-11-22T12:00:00.000Z",
        "last_seen": "2026-11-22T23:54:00.000Z",
        "versions": ["20.1.0", "22.10.0"],
        "trend": {
            "since": "2026-11-22T12:00:00.000Z",
            "until": "2026-11-23T00:00:00.000Z",
            "counts": [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1],
        },
    }
    assert (rare["count"], rare["versions"]) == (1, ["22.10.0"])


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ([], [4, 1]),
        (["--since", "2026-11-22T16:30:00Z"], [2, 1]),
        (["--until", "2026-11-22T16:30:00Z"], [3]),
        (["--since", "2026-11-22T18:00:00Z", "--until", "2026-11-22T18:00:00Z"], [1]),
        (["--limit", "1"], [4]),
    ],
)
def test_filters(astbtd: Run, options: list[str], counts: list[int]) -> None:
    assert [each["count"] for each in json.loads(astbtd("top", "--json", *options).out)] == counts


def test_of_equally_frequent_signatures_the_one_last_seen_comes_first(astbtd: Run, keep: Keep) -> None:
    keep(crash(1, signature="a" * 12))
    keep(crash(2, signature="b" * 12))

    assert [each["signature"]["id"][0] for each in json.loads(astbtd("top", "--json").out)] == ["b", "a"]


def test_a_crash_that_is_forgotten_still_tells_when_its_signature_was_first_seen(astbtd: Run, keep: Keep) -> None:
    known = crash(1)
    keep(replace(known, signature=replace(known.signature, occurrence=7, first_seen=NOON - timedelta(days=900))))

    (only,) = json.loads(astbtd("top", "--json").out)

    assert (only["count"], only["first_seen"][:10]) == (1, "2024-06-05")


def test_a_crash_in_the_future_is_within_the_trend(astbtd: Run, keep: Keep) -> None:
    keep(crash(0))
    keep(crash(100 * 365 * 24 * HOUR))

    (only,) = json.loads(astbtd("top", "--json").out)

    assert only["trend"]["counts"] == [1, *[0] * 10, 1]
    assert only["trend"]["until"] == only["last_seen"]


def test_an_empty_table_is_nothing_matched_and_an_empty_array_is_an_answer(astbtd: Run, keep: Keep) -> None:
    assert "no crash has been collected in" in astbtd("top").err
    keep(crash())

    table, array = astbtd("top", "--since", "2030-01-01"), astbtd("top", "--json", "--since", "2030-01-01")

    assert (table.code, table.out) == (3, "")
    assert "no crash in" in table.err
    assert (array.code, json.loads(array.out)) == (0, [])


@pytest.mark.usefixtures("five")
def test_a_damaged_record_is_a_warning_and_the_others_are_counted(astbtd: Run, store: Store) -> None:
    (store.directory(crash(0).id) / RECORD_FILE).write_text("{")

    answer = astbtd("top", "--json")

    assert [each["count"] for each in json.loads(answer.out)] == [3, 1]
    assert "is damaged" in answer.err


@pytest.mark.parametrize("text", ["f\nforged row", "f\x1b[2J", "f\u202ef"])
def test_a_name_from_the_core_forges_no_row(astbtd: Run, keep: Keep, text: str) -> None:
    one = of_version(crash(1), text)
    keep(replace(one, signature=replace(one.signature, text=text)))

    lines = astbtd("top").out.splitlines()

    assert len(lines) == 4
    assert all(harmless(line) for line in lines)
