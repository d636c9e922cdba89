"""`astbtd top`: signatures by number of crashes, with first and last crash, versions and trend."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.errors import ExitCode
from astbtd.lib.serialization import format_rfc3339
from astbtd.model.crash import RECORD_FILE, CoreState, Crash, Site, SiteFrame
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, signature_of
from tests.support.cli_types import Keep, Run
from tests.support.harmless import harmless

HOUR = 60
RARE, FREQUENT = "fedcba987654", "0123456789ab"


def of_version(one: Crash, version: str | None) -> Crash:
    return replace(one, asterisk=replace(one.asterisk, version=version))


@pytest.fixture
def five(keep: Keep) -> None:
    """Four crashes of one bug within twelve hours, the last one after an upgrade, and one crash of another bug."""
    for hour, version in ((0, "20.1.0"), (4, "20.1.0"), (4.5, None), (11.9, "22.10.0")):
        keep(of_version(crash(hour * HOUR), version))
    keep(crash(6 * HOUR, signature=RARE))


PERIOD = ("--since", format_rfc3339(NOON), "--until", format_rfc3339(NOON + timedelta(hours=12)))


@pytest.mark.usefixtures("five")
def test_the_most_frequent_signature_comes_first(astbtd: Run) -> None:
    heading, frequent, rare, _, legend = astbtd("top", *PERIOD).out.splitlines()

    assert heading.split() == ["COUNT", "TREND", "FIRST", "SEEN", "LAST", "SEEN", "VERSIONS", "ID", "SIGNATURE"]
    assert frequent.split()[:2] == ["4", "▄...█......▄"]
    assert frequent.endswith(f" 20.1.0 22.10.0 {FREQUENT} SIGSEGV ast_bridge_join")
    assert rare.split()[:2] == ["1", "......█....."]
    assert legend.startswith(f"TREND: from {NOON.astimezone():%Y-%m-%d %H:%M %Z} to ")


@pytest.mark.usefixtures("five")
def test_json_contains_counts_versions_and_trend(astbtd: Run) -> None:
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
def test_filters_select_crashes(astbtd: Run, options: list[str], counts: list[int]) -> None:
    assert [each["count"] for each in json.loads(astbtd("top", "--json", *options).out)] == counts


def test_equally_frequent_signatures_are_ordered_by_last_crash(astbtd: Run, keep: Keep) -> None:
    keep(crash(1, signature="a" * 12))
    keep(crash(2, signature="b" * 12))

    assert [each["signature"]["id"][0] for each in json.loads(astbtd("top", "--json").out)] == ["b", "a"]


def test_first_seen_includes_crashes_whose_records_are_removed(astbtd: Run, keep: Keep) -> None:
    known = crash(1)
    keep(replace(known, signature=replace(signature_of(known), occurrence=7, first_seen=NOON - timedelta(days=900))))

    (only,) = json.loads(astbtd("top", "--json").out)

    assert (only["count"], only["first_seen"][:10]) == (1, "2024-06-05")


def test_the_trend_includes_crashes_dated_in_the_future(astbtd: Run, keep: Keep) -> None:
    keep(crash(0))
    keep(crash(100 * 365 * 24 * HOUR))

    (only,) = json.loads(astbtd("top", "--json").out)

    assert only["trend"]["counts"] == [1, *[0] * 10, 1]
    assert only["trend"]["until"] == only["last_seen"]


def test_an_empty_table_exits_with_3_and_an_empty_json_array_with_0(astbtd: Run, keep: Keep) -> None:
    assert "no crash has been collected in" in astbtd("top").err
    keep(crash())

    table, array = astbtd("top", "--since", "2030-01-01"), astbtd("top", "--json", "--since", "2030-01-01")

    assert (table.code, table.out) == (3, "")
    assert "no crash in" in table.err
    assert (array.code, json.loads(array.out)) == (0, [])


@pytest.mark.usefixtures("five")
def test_a_damaged_record_is_reported_and_not_counted(astbtd: Run, store: Store) -> None:
    (store.directory(crash(0).id) / RECORD_FILE).write_text("{")

    answer = astbtd("top", "--json")

    assert [each["count"] for each in json.loads(answer.out)] == [3, 1]
    assert "is damaged" in answer.err


@pytest.mark.parametrize("text", ["f\nforged row", "f\x1b[2J", "f\u202ef"])
def test_a_name_from_the_core_cannot_forge_a_row(astbtd: Run, keep: Keep, text: str) -> None:
    one = of_version(crash(1), text)
    keep(replace(one, signature=replace(signature_of(one), text=text)))

    lines = astbtd("top").out.splitlines()

    assert len(lines) == 4
    assert all(harmless(line) for line in lines)


@pytest.fixture
def sites(keep: Keep) -> None:
    """Three crashes of one signature at two sites, one of a site that is not known, one of another signature."""
    for minutes, site in ((0, "a"), (1, "b"), (2, "a"), (3, None)):
        made = crash(minutes, pid=int(minutes) + 1)
        frames = (SiteFrame("ab", "/usr/sbin/asterisk", "0x10"), SiteFrame("cd", "/usr/lib/app_rpt.so", f"0x{site}1"))
        state = CoreState.REMOVED if minutes == 2 else CoreState.KEPT
        keep(replace(made, site=Site(site, frames) if site else None, core=replace(made.core, state=state)))
    keep(crash(4, pid=5, signature=RARE))


@pytest.mark.usefixtures("sites")
def test_the_sites_of_a_signature_are_listed(astbtd: Run) -> None:
    heading, *rows = astbtd("top", "--sites", FREQUENT[:6]).out.splitlines()

    assert heading.split()[:2] == ["COUNT", "CORES"]
    assert [(row.split()[0], row.split()[1], *row.split()[-2:]) for row in rows] == [
        ("2", "1", "a", "app_rpt.so+0xa1"),
        ("1", "1", "-", "-"),
        ("1", "1", "b", "app_rpt.so+0xb1"),
    ]


@pytest.mark.usefixtures("sites")
def test_the_sites_in_json_have_their_builds_and_versions(astbtd: Run) -> None:
    first, *_ = json.loads(astbtd("top", "--sites", FREQUENT, "--json", "--limit", "1").out)

    assert first == {
        "site": "a",
        "place": "app_rpt.so+0xa1",
        "build_id": "ab" * 20,
        "count": 2,
        "cores": 1,
        "first_seen": "2026-11-22T12:00:00.000Z",
        "last_seen": "2026-11-22T12:02:00.000Z",
        "versions": ["22.10.0"],
    }


@pytest.mark.usefixtures("sites")
def test_a_signature_without_crashes_has_no_sites(astbtd: Run) -> None:
    assert astbtd("top", "--sites", "0" * 12).code == ExitCode.NOTHING_MATCHED
    assert astbtd("top", "--sites", "x").code == ExitCode.USAGE
