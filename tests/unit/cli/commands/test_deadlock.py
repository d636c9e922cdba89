"""`astbtd list`, `show` and `deadlock` on captures of a running Asterisk."""

import json
from pathlib import Path

import pytest

from astbtd.asterisk import asterisk_processes
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.cli.commands import deadlock
from astbtd.lib.serialization import plain
from astbtd.model.deadlock_capture import Deadlock, Finding
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.deadlocks import capture
from tests.unit.cli.conftest import Keep, Run


@pytest.fixture
def captures(store: Store) -> Captures:
    made = Captures(store.root)
    made.prepare()
    return made


def commit(captures: Captures, record: Deadlock) -> Deadlock:
    staged = captures.stage(record.id)
    (staged / "report.txt").write_text(f"report of {record.id}\n")
    (staged / "core-show-locks.txt").write_text("No such command\n")
    captures.commit(staged, record, keep=20)
    return record


def test_the_list_has_crashes_and_captures_newest_first(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))
    keep(crash(3))

    heading, *rows = astbtd("list").out.splitlines()

    assert heading.endswith(" ID")
    assert [row.split()[-1] for row in rows] == [crash(3).id, live.id, crash(1).id]
    assert rows[1].split()[-5:-1] == ["(live)", "deadlock", "-", "try_calling"]


def test_the_list_can_be_of_captures_only(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))

    assert json.loads(astbtd("list", "--deadlocks", "--json").out) == [plain(live)]
    assert [row.split()[-1] for row in astbtd("list", "--deadlocks").out.splitlines()[1:]] == [live.id]


def test_the_list_as_data_is_of_crashes_as_ever(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    assert json.loads(astbtd("list", "--json").out) == [plain(crash(1))]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--limit", "1"], [capture(4).id]),
        (["--since", "2026-11-22T12:03Z"], [capture(4).id]),
        (["--until", "2026-11-22T12:03Z"], [capture(2).id, crash(1).id]),
        (["--signal", "SEGV"], [crash(1).id]),
    ],
)
def test_filters_hold_for_captures_too(
    astbtd: Run, keep: Keep, captures: Captures, filters: list[str], found: list[str]
) -> None:
    keep(crash(1))
    commit(captures, capture(2))
    commit(captures, capture(4, Finding.NONE))

    assert [row.split()[-1] for row in astbtd("list", *filters).out.splitlines()[1:]] == found


def test_a_damaged_capture_is_said_and_passed_over(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))
    (captures.directory(live.id) / "deadlock.json").write_text("{")

    answer = astbtd("list")

    assert len(answer.out.splitlines()) == 2
    assert f"the record of capture {live.id} is damaged" in answer.err


def test_show_has_captures_by_their_ids(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))

    assert astbtd("show", live.id).out == f"report of {live.id}\n"
    assert astbtd("show", "20261122T1202").out == f"report of {live.id}\n"
    assert astbtd("show", live.id, "--section", "core-show-locks").out == "No such command\n"
    assert json.loads(astbtd("show", live.id, "--json").out) == plain(live)
    assert astbtd("show", live.id, "--path").out == f"{captures.directory(live.id)}\n"


def test_latest_is_a_crash(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    assert astbtd("show").out == f"report of {crash(1).id}\n"
    assert astbtd("show", "-1").out == f"report of {crash(1).id}\n"


def test_a_prefix_of_a_crash_and_a_capture_names_neither(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    answer = astbtd("show", "20261122T12")

    assert answer.code == 3
    assert "2 crashes' and captures' ids start with" in answer.err


def test_a_section_that_a_capture_does_not_have_is_said_with_what_is(astbtd: Run, captures: Captures) -> None:
    live = commit(captures, capture(2))

    answer = astbtd("show", live.id, "--section", "backtrace")

    assert answer.code == 3
    assert "has no backtrace.txt" in answer.err
    assert "core-show-locks.txt, deadlock.json, report.txt" in answer.err


def test_a_capture_is_for_root_only(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    answer = astbtd("deadlock")

    assert answer.code == 1
    assert "only root" in answer.err
    assert "sudo astbtd deadlock" in answer.err


@pytest.mark.parametrize("options", [("--samples", "0"), ("--samples", "x"), ("--interval", "soon"), ("--pid", "x")])
def test_options_that_make_no_sense_are_wrong_usage(astbtd: Run, options: tuple[str, str]) -> None:
    assert astbtd("deadlock", *options).code == 2


@pytest.mark.parametrize("content", ["", "x", "1 2", "99\n"])
def test_a_request_for_another_process_captures_nothing_else(
    astbtd: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(asterisk_processes, "running", lambda _: (RunningAsterisk(7, "/srv"), RunningAsterisk(8, None)))
    monkeypatch.setattr(deadlock, "assemble", lambda *_: pytest.fail("captured"))
    request = tmp_path / "wanted"
    request.write_text(content)

    answer = astbtd("deadlock", "--wanted", request)

    assert answer.code == (3 if content == "99\n" else 2)
    assert not request.exists()
