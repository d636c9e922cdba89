"""Captures are complete or absent, and only the newest are kept."""

from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.store.captures import Captures
from astbtd.store.staging_cleanup import remove_leftovers
from astbtd.store.store import Store
from tests.support.deadlocks import capture


@pytest.fixture
def captures(tmp_path: Path) -> Captures:
    Store(tmp_path).prepare()
    made = Captures(tmp_path)
    made.prepare()
    return made


def commit(captures: Captures, minutes: float, keep: int = 20) -> Path:
    record = capture(minutes)
    staged = captures.stage(record.id)
    (staged / "report.txt").write_text(record.summary)
    return captures.commit(staged, record, keep)


def test_a_committed_capture_is_read_back(captures: Captures) -> None:
    directory = commit(captures, 1)

    assert captures.load(directory.name) == capture(1)
    assert sorted(entry.name for entry in directory.iterdir()) == ["deadlock.json", "report.txt"]


def test_ids_are_newest_first_and_the_oldest_captures_are_removed(captures: Captures) -> None:
    for minutes in (1, 3, 2, 4):
        commit(captures, minutes, keep=3)

    assert captures.ids() == [capture(minutes).id for minutes in (4, 3, 2)]


def test_leftovers_of_a_killed_capture_are_removed_by_the_next(captures: Captures) -> None:
    staged = captures.stage(capture().id)
    (staged / "report.txt").write_text("half")
    (staged.parent / "core").write_bytes(b"memory")

    with captures.lock():
        assert list(staged.parent.iterdir()) == []


def test_the_lock_excludes_a_second_capture(captures: Captures) -> None:
    with captures.lock(), pytest.raises(AstbtdError, match="another capture"), captures.lock():
        pass


def test_a_daemon_that_starts_does_not_touch_a_capture_in_progress(captures: Captures) -> None:
    staged = captures.stage(capture().id)

    store = Store(captures.root)
    store.prepare()

    remove_leftovers(store, set)

    assert staged.exists()


def test_the_core_file_has_no_name(captures: Captures, tmp_path: Path) -> None:
    captures.create_core_file(-1)

    assert list((tmp_path / "capturing").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"id": 7}'])
def test_a_damaged_record_is_an_error(captures: Captures, content: bytes) -> None:
    directory = commit(captures, 1)
    (directory / "deadlock.json").write_bytes(content)

    with pytest.raises(AstbtdError, match="damaged"):
        captures.load(directory.name)


def test_an_absent_store_has_no_captures(tmp_path: Path) -> None:
    assert Captures(tmp_path).ids() == []
