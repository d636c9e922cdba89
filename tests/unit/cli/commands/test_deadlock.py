"""`astbtd deadlock`, and `list` and `show` for captures of a running Asterisk."""

import json
from pathlib import Path

import pytest

from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.asterisk.identity import PbxIdentity
from astbtd.cli.commands import deadlock
from astbtd.lib.serialization import to_plain
from astbtd.model.deadlock_capture import Deadlock, Finding
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run
from tests.support.deadlocks import capture


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


def test_list_shows_crashes_and_captures_newest_first(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))
    keep(crash(3))

    heading, *rows = astbtd("list").out.splitlines()

    assert heading.endswith(" ID")
    assert [row.split()[-1] for row in rows] == [crash(3).id, live.id, crash(1).id]
    assert rows[1].split()[-5:-1] == ["(live)", "deadlock", "-", "try_calling"]


def test_list_deadlocks_shows_only_captures(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))

    assert json.loads(astbtd("list", "--deadlocks", "--json").out) == [to_plain(live)]
    assert [row.split()[-1] for row in astbtd("list", "--deadlocks").out.splitlines()[1:]] == [live.id]


def test_list_json_contains_only_crashes(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    assert json.loads(astbtd("list", "--json").out) == [to_plain(crash(1))]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--limit", "1"], [capture(4).id]),
        (["--since", "2026-11-22T12:03Z"], [capture(4).id]),
        (["--until", "2026-11-22T12:03Z"], [capture(2).id, crash(1).id]),
        (["--signal", "SEGV"], [crash(1).id]),
    ],
)
def test_filters_apply_to_captures(
    astbtd: Run, keep: Keep, captures: Captures, filters: list[str], found: list[str]
) -> None:
    keep(crash(1))
    commit(captures, capture(2))
    commit(captures, capture(4, Finding.NONE))

    assert [row.split()[-1] for row in astbtd("list", *filters).out.splitlines()[1:]] == found


def test_a_damaged_capture_is_reported_and_skipped(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))
    (captures.directory(live.id) / "deadlock.json").write_text("{")

    answer = astbtd("list")

    assert len(answer.out.splitlines()) == 2
    assert f"the record of capture {live.id} is damaged" in answer.err


def test_show_finds_captures_by_id_and_prefix(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    live = commit(captures, capture(2))

    assert astbtd("show", live.id).out == f"report of {live.id}\n"
    assert astbtd("show", "20261122T1202").out == f"report of {live.id}\n"
    assert astbtd("show", live.id, "--section", "core-show-locks").out == "No such command\n"
    assert json.loads(astbtd("show", live.id, "--json").out) == to_plain(live)
    assert astbtd("show", live.id, "--path").out == f"{captures.directory(live.id)}\n"


def test_latest_never_selects_a_capture(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    assert astbtd("show").out == f"report of {crash(1).id}\n"
    assert astbtd("show", "-1").out == f"report of {crash(1).id}\n"


def test_a_prefix_of_both_a_crash_and_a_capture_is_ambiguous(astbtd: Run, keep: Keep, captures: Captures) -> None:
    keep(crash(1))
    commit(captures, capture(2))

    answer = astbtd("show", "20261122T12")

    assert answer.code == 3
    assert "'20261122T12' is ambiguous: 2 ids start with it" in answer.err


def test_a_section_missing_from_a_capture_is_reported_with_the_files_present(astbtd: Run, captures: Captures) -> None:
    live = commit(captures, capture(2))

    answer = astbtd("show", live.id, "--section", "backtrace")

    assert answer.code == 3
    assert "has no backtrace.txt" in answer.err
    assert "core-show-locks.txt, deadlock.json, report.txt" in answer.err


def test_only_root_can_capture(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    answer = astbtd("deadlock")

    assert answer.code == 1
    assert "only root" in answer.err
    assert "sudo astbtd deadlock" in answer.err


@pytest.mark.parametrize("options", [("--samples", "0"), ("--samples", "x"), ("--interval", "soon"), ("--pid", "x")])
def test_invalid_options_are_wrong_usage(astbtd: Run, options: tuple[str, str]) -> None:
    assert astbtd("deadlock", *options).code == 2


@pytest.mark.root
@pytest.mark.parametrize("content", ["", "x", "1 2", "99\n"])
def test_a_request_captures_no_other_process(
    astbtd: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    running = (RunningAsterisk(7, "/srv"), RunningAsterisk(8, None))
    monkeypatch.setattr(PbxIdentity, "running_asterisks", lambda *_: running)
    monkeypatch.setattr(deadlock, "assemble", lambda *_: pytest.fail("captured"))
    request = tmp_path / "wanted"
    request.write_text(content)

    answer = astbtd("deadlock", "--wanted", request)

    assert answer.code == (3 if content == "99\n" else 2)
    assert not request.exists()


def test_a_request_is_served_once_although_the_configuration_is_invalid(
    astbtd: Run, configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path unit starts the service as long as the file exists, until systemd gives up both."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    configuration.write_text("no_such_setting: 1\n")
    request = tmp_path / "wanted"
    request.write_text("99\n")

    assert astbtd("deadlock", "--wanted", request).code == 78
    assert not request.exists()
