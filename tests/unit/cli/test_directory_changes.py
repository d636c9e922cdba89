"""`astbtd list --follow`, run as a process: it sees what is recorded, and ends when it should."""

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.cli.directory_changes import iter_changes
from astbtd.lib import mounts
from astbtd.lib.serialization import to_plain
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support.builders import ABORT, NOON, crash
from tests.support.cli_types import Keep, Run
from tests.support.deadlocks import capture
from tests.support.following import following


def keep_capture(store: Store, minutes: float) -> str:
    captures = Captures(store.root)
    captures.prepare()
    captures.commit(captures.stage(capture(minutes).id), capture(minutes), keep=9)
    return capture(minutes).id


def test_new_crashes_are_printed_below_the_heading_and_earlier_ones_are_not(configuration: Path, keep: Keep) -> None:
    keep(crash(1))
    with following(configuration) as follower:
        heading = follower.read_line()
        keep(crash(2))
        keep(crash(3))

        rows = follower.read_line(), follower.read_line()

    assert heading.split() == ["TIME", "PID", "SIGNAL", "VERDICT", "CORE", "NOTE", "FUNCTION", "ID"]
    assert [row.split()[-1] for row in rows] == [crash(2).id, crash(3).id]
    assert {row.index("SIGSEGV") for row in rows} == {heading.index("SIGNAL")}


def test_json_is_one_complete_record_a_line(configuration: Path, keep: Keep) -> None:
    keep(crash(1))
    with following(configuration, "--json", "--since", "2026-11-22T12:00Z") as follower:
        first = follower.read_line()
        keep(crash(2))
        second = follower.read_line()

    assert [json.loads(line) for line in (first, second)] == [to_plain(crash(1)), to_plain(crash(2))]


def test_since_prints_earlier_crashes_oldest_first(configuration: Path, keep: Keep) -> None:
    for minutes in (1, 2, 3):
        keep(crash(minutes))
    with following(configuration, "--since", "2026-11-22T12:02Z") as follower:
        follower.read_line()

        assert [follower.read_line().split()[-1] for _ in range(2)] == [crash(2).id, crash(3).id]


def test_filters_select_crashes(configuration: Path, keep: Keep) -> None:
    with following(configuration, "--signal", "SIGABRT") as follower:
        follower.read_line()
        keep(crash(1))
        keep(crash(2, signal=ABORT))

        assert follower.read_line().split()[-1] == crash(2).id


def test_captures_are_printed_too(configuration: Path, keep: Keep, store: Store) -> None:
    with following(configuration) as follower:
        follower.read_line()
        capture_id = keep_capture(store, 1)
        row = follower.read_line()
        keep(crash(2))

        assert row.split()[-1] == capture_id
        assert follower.read_line().split()[-1] == crash(2).id


def test_json_of_captures(configuration: Path, keep: Keep, store: Store) -> None:
    with following(configuration, "--json", "--deadlocks", "--since", "2026-11-22") as follower:
        keep(crash(1))
        keep_capture(store, 2)

        assert json.loads(follower.read_line()) == to_plain(capture(2))


def test_it_ends_after_limit_crashes(configuration: Path, keep: Keep) -> None:
    with following(configuration, "--limit", "1") as follower:
        follower.read_line()
        keep(crash(1))
        row = follower.read_line()

        assert row.split()[-1] == crash(1).id
        assert (follower.read_line(), follower.process.wait()) == ("", 0)


def test_crashes_are_seen_while_others_are_removed(configuration: Path, keep: Keep, store: Store) -> None:
    keep(crash(1))
    keep(crash(2))
    with following(configuration) as follower:
        follower.read_line()
        store.remove(crash(1).id)
        keep(crash(3))
        row = follower.read_line()
        store.remove(crash(3).id)
        keep(crash(4))

        assert [row.split()[-1], follower.read_line().split()[-1]] == [crash(3).id, crash(4).id]


def test_crashes_are_seen_after_the_store_was_removed_and_created_again(
    configuration: Path, keep: Keep, store: Store
) -> None:
    keep(crash(1))
    with following(configuration) as follower:
        follower.read_line()
        shutil.rmtree(store.root)
        store.prepare()
        keep(crash(2))

        assert follower.read_line().split()[-1] == crash(2).id


def test_crashes_are_seen_in_a_store_that_did_not_exist(configuration: Path, keep: Keep, tmp_path: Path) -> None:
    with following(configuration) as follower:
        follower.read_line()
        Store(tmp_path / "store").prepare()
        keep(crash(1))

        assert follower.read_line().split()[-1] == crash(1).id


def test_a_damaged_record_does_not_end_it(configuration: Path, keep: Keep, store: Store) -> None:
    with following(configuration) as follower:
        follower.read_line()
        damaged = store.stage(crash(1).id)
        (damaged / "crash.json").write_text("{")
        os.rename(damaged, store.directory(crash(1).id))
        keep(crash(2))
        row = follower.read_line()
        follower.interrupt()
        assert follower.process.stderr

        assert row.split()[-1] == crash(2).id
        assert f"the record of {crash(1).id} is damaged" in follower.process.stderr.read().decode()


@pytest.mark.parametrize("options", [(), ("--json", "--since", "2026-11-22T12:00Z")])
def test_an_interrupt_ends_it_with_0(configuration: Path, keep: Keep, options: tuple[str, ...]) -> None:
    keep(crash(1))
    with following(configuration, *options) as follower:
        follower.read_line()

        assert follower.interrupt() == 0


def test_it_ends_when_the_reader_of_its_output_ends(configuration: Path, store: Store) -> None:
    with following(configuration) as follower:
        follower.read_line()

        assert (follower.close_output(), store.ids()) == (0, [])


def test_a_name_from_the_core_cannot_forge_a_row(configuration: Path, keep: Keep) -> None:
    with following(configuration, "--limit", "2") as follower:
        follower.read_line()
        keep(replace(crash(1), diagnosis=crash(1, function="f\nforged\x1b[2J").diagnosis))
        keep(crash(2))

        rows = follower.read_line(), follower.read_line()

    assert [row.split()[-1] for row in rows] == [crash(1).id, crash(2).id]
    assert "\x1b" not in "".join(rows)


@pytest.mark.usefixtures("capfd")
def test_a_directory_that_other_machines_change_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "inotify_works_on", lambda _: False)
    changes = iter_changes([str(tmp_path)])
    next(changes)
    (tmp_path / "new").mkdir()

    next(changes)

    assert "polling" in {thread.name for thread in threading.enumerate()}
    changes.close()


def test_until_is_wrong_usage(astbtd: Run, store: Store) -> None:
    assert store.ids() == []

    answer = astbtd("list", "--follow", "--until", NOON.isoformat())

    assert answer.code == 2
    assert "--until cannot be combined with --follow" in answer.err
