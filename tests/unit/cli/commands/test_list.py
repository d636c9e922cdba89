"""`astbtd list`: selection, order, table and JSON."""

import json
import re
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from astbtd.lib.serialization import to_plain
from astbtd.model.crash import RECORD_FILE, CoreState
from astbtd.store.store import Store
from tests.support.builders import ABORT, NOON, crash
from tests.support.cli_types import Keep, Run
from tests.support.harmless import harmless


def ids(answer: str) -> list[str]:
    """Return the ids in a table, its last column."""
    return [line.split()[-1] for line in answer.splitlines()[1:]]


@pytest.fixture
def three(keep: Keep) -> None:
    """A crash at 12:01, one at 12:02 of another bug, one at 12:03."""
    keep(crash(1))
    keep(crash(2, signature="fedcba987654", signal=ABORT))
    keep(crash(3))


@pytest.mark.usefixtures("three")
def test_crashes_are_listed_newest_first(astbtd: Run) -> None:
    answer = astbtd("list")

    assert answer.code == 0
    assert ids(answer.out) == [crash(3).id, crash(2).id, crash(1).id]


def test_a_row_shows_process_signal_verdict_core_function_and_id(astbtd: Run, keep: Keep) -> None:
    keep(crash(1))

    heading, row = astbtd("list").out.splitlines()

    assert heading.split() == ["TIME", "PID", "SIGNAL", "VERDICT", "CORE", "FUNCTION", "ID"]
    assert row.split()[-6:] == ["4242", "SIGSEGV", "usable", "kept", "ast_bridge_join", crash(1).id]


def test_unknown_values_are_dashes(astbtd: Run, keep: Keep) -> None:
    keep(crash(1, signal=None, function=None))

    assert astbtd("list").out.splitlines()[1].split()[-5:] == ["-", "usable", "kept", "-", crash(1).id]


def test_pinned_and_thinned_crashes_are_marked(astbtd: Run, keep: Keep) -> None:
    thinned = replace(crash(2, state=CoreState.REMOVED), texts_removed_at=NOON)
    keep(crash(1))
    keep(thinned)
    keep(replace(crash(3), pinned=True))
    keep(replace(thinned, id=crash(4).id, pinned=True))

    heading, *rows = astbtd("list").out.splitlines()

    assert heading.split()[-4:] == ["CORE", "NOTE", "FUNCTION", "ID"]
    assert [row.split()[-4:-2] for row in rows] == [
        ["removed", "pinned,thinned"],
        ["kept", "pinned"],
        ["removed", "thinned"],
        ["usable", "kept"],
    ]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 80 columns. `capsys` replaces standard output, so it has to come first."""
    assert capsys
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("terminal")
def test_a_row_fits_a_narrow_terminal_with_the_start_of_the_id(astbtd: Run, keep: Keep) -> None:
    keep(replace(crash(function="f" * 100), pinned=True))

    lines = re.sub("\x1b\\[[0-9]*m", "", astbtd("list").out).splitlines()

    assert max(map(len, lines)) <= 80
    (shown,) = ids("\n".join(lines))
    assert crash().id.startswith(shown)
    assert len(shown) == 24


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_shortens_the_id_before_the_function(astbtd: Run, keep: Keep) -> None:
    keep(crash(function="ast_bridge"))

    assert " ast_bridge 2" in astbtd("list").out


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_shows_the_zone(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    assert f"{NOON.astimezone():%Y-%m-%d %H:%M:%S %Z} " in astbtd("list").out


@pytest.mark.usefixtures("three")
def test_an_unknown_signal_is_wrong_usage(astbtd: Run) -> None:
    answer = astbtd("list", "--signal", "SIGNONE")

    assert answer.code == 2
    assert "unknown signal 'SIGNONE'" in answer.err


@pytest.mark.usefixtures("terminal")
def test_the_verdict_is_coloured_on_a_terminal(astbtd: Run, keep: Keep) -> None:
    keep(crash())

    assert "\x1b[32musable" in astbtd("list").out


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_disabled(
    astbtd: Run, keep: Keep, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    keep(crash())
    monkeypatch.setenv(name, value)

    assert "\x1b" not in astbtd("list").out


@pytest.mark.usefixtures("three")
def test_records_that_are_not_shown_are_not_read(astbtd: Run, store: Store) -> None:
    (store.directory(crash(1).id) / RECORD_FILE).write_text("{")

    limited, recent = astbtd("list", "--limit", "2"), astbtd("list", "--since", "2026-11-22T12:03:00Z")

    assert (ids(limited.out), limited.err) == ([crash(3).id, crash(2).id], "")
    assert (ids(recent.out), recent.err) == ([crash(3).id], "")


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5"])
def test_an_invalid_limit_is_wrong_usage(astbtd: Run, limit: str) -> None:
    answer = astbtd("list", "--limit", limit)

    assert answer.code == 2
    assert "at least 1" in answer.err


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "minutes"),
    [
        (["--since", "2026-11-22T12:02:00Z"], [3, 2]),
        (["--until", "2026-11-22T12:02:00Z"], [2, 1]),
        (["--since", "2026-11-22T12:01:30Z", "--until", "2026-11-22T12:02:30Z"], [2]),
        (["--signature", "fedcba987654"], [2]),
        (["--signature", "0123"], [3, 1]),
        (["--signal", "SIGABRT"], [2]),
        (["--signal", "segv"], [3, 1]),
        (["--signal", "6"], [2]),
        (["--limit", "2"], [3, 2]),
        (["--signal", "SEGV", "--limit", "1"], [3]),
    ],
)
def test_filters_select_crashes(astbtd: Run, options: list[str], minutes: list[int]) -> None:
    assert ids(astbtd("list", *options).out) == [crash(each).id for each in minutes]


@pytest.mark.usefixtures("three")
def test_json_is_an_array_of_complete_records(astbtd: Run) -> None:
    listed = json.loads(astbtd("list", "--json", "--signal", "SEGV").out)

    assert listed == [to_plain(crash(3)), to_plain(crash(1))]


def test_an_empty_table_exits_with_3_and_an_empty_json_array_with_0(astbtd: Run) -> None:
    table, array = astbtd("list"), astbtd("list", "--json")

    assert (table.code, table.out) == (3, "")
    assert "no crash has been collected in" in table.err
    assert (array.code, json.loads(array.out)) == (0, [])


def test_crashes_within_a_second_are_ordered_by_milliseconds(astbtd: Run, keep: Keep) -> None:
    earlier, later = crash(pid=9), crash(pid=10)
    later = replace(later, crashed_at=NOON + timedelta(milliseconds=500))
    keep(earlier)
    keep(later)

    assert ids(astbtd("list").out) == [later.id, earlier.id]


@pytest.mark.usefixtures("three")
def test_a_damaged_record_is_reported_and_skipped(astbtd: Run, store: Store) -> None:
    (store.directory(crash(2).id) / RECORD_FILE).write_text("{")

    answer = astbtd("list")

    assert ids(answer.out) == [crash(3).id, crash(1).id]
    assert "is damaged" in answer.err


@pytest.mark.parametrize("name", ["f\nforged row", "f\x1b[2J", "f\u202ef", "f\tg"])
def test_a_name_from_the_core_cannot_forge_a_row(astbtd: Run, keep: Keep, name: str) -> None:
    keep(crash(1, function=name))

    out = astbtd("list").out

    assert len(out.splitlines()) == 2
    assert all(harmless(line) for line in out.splitlines())


def test_an_invalid_time_is_wrong_usage(astbtd: Run) -> None:
    answer = astbtd("list", "--since", "soon")

    assert answer.code == 2
    assert "invalid time 'soon'" in answer.err


@pytest.mark.parametrize("verb", [("list",), ("list", "--json"), ("top",)])
def test_a_crash_that_retention_removes_meanwhile_is_not_reported_as_damaged(
    astbtd: Run, keep: Keep, store: Store, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    kept, removed = crash(1, identity="a" * 32), crash(2, identity="b" * 32)
    keep(kept)
    keep(removed)
    ids = store.ids()
    store.remove(removed.id)
    monkeypatch.setattr(Store, "newest", lambda *_: iter(ids))

    answer = astbtd(*verb)

    assert (answer.code, answer.err) == (0, "")


def test_foreign_crashes_are_marked_and_can_be_selected(astbtd: Run, keep: Keep) -> None:
    keep(crash(1))
    keep(replace(crash(2), foreign=True))

    rows = astbtd("list").out.splitlines()[1:]

    assert [("foreign" in row, row.split()[-1]) for row in rows] == [(True, crash(2).id), (False, crash(1).id)]
    assert ids(astbtd("list", "--foreign").out) == [crash(2).id]
    assert [each["foreign"] for each in json.loads(astbtd("list", "--foreign", "--json").out)] == [True]
