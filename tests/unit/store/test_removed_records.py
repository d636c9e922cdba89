"""The list of removed records: numbered, limited, and readable whatever a kill has left."""

from pathlib import Path

import pytest

from astbtd.store import removed_records
from astbtd.store.removed_records import RemovedRecord, RemovedRecords


@pytest.fixture
def removed(tmp_path: Path) -> RemovedRecords:
    return RemovedRecords(tmp_path)


def numbers(records: list[RemovedRecord]) -> list[int]:
    return [each.number for each in records]


def test_what_was_added_is_read_from_any_number_on(removed: RemovedRecords) -> None:
    assert removed.after(0) == []

    removed.add("one", None)
    removed.add("two", "0123456789ab")
    removed.add("three", None, "before")

    assert removed.after(0) == [
        RemovedRecord(1, "one", None),
        RemovedRecord(2, "two", "0123456789ab"),
        RemovedRecord(3, "three", None, "before"),
    ]
    assert numbers(removed.after(1)) == [2, 3]
    assert removed.after(3) == []
    assert removed.path.stat().st_mode & 0o777 == 0o640


def test_a_line_that_a_kill_has_cut_is_left_out_and_its_number_is_used_again(removed: RemovedRecords) -> None:
    removed.add("one", None)
    with removed.path.open("a") as file:
        file.write("2 tw")
    assert numbers(removed.after(0)) == [1]

    removed.add("two", None)

    assert removed.after(1) == [RemovedRecord(2, "two", None)]


def test_a_list_that_was_begun_anew_is_read_from_its_start(removed: RemovedRecords) -> None:
    removed.add("one", None)

    assert numbers(removed.after(7)) == [1]


def test_the_list_is_shortened_and_the_numbers_go_on(removed: RemovedRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed_records, "_MOST", 3)

    for number in range(1, 9):
        removed.add(f"crash-{number}", None)
        assert len(removed.after(0)) <= 6

    assert numbers(removed.after(0)) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("content", ["", "\n\n", "x y z\n", "\xff\n", "1\n", "1 one\n"])
def test_junk_is_left_out(removed: RemovedRecords, content: str) -> None:
    removed.path.write_text(content)

    assert removed.after(0) == []
    removed.add("two", None)
    assert [each.id for each in removed.after(0)] == ["two"]
