"""No file stops the daemon: each file and each owner has a budget, and what ended the daemon twice is skipped."""

import os
from pathlib import Path

import pytest

from astbtd.claims import examinations as limits
from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, Postponed, RefusedFile
from astbtd.claims.examinations import ExaminationNotes, Examinations
from tests.support.fixture_types import Dump


class Killed(BaseException):
    """The end of the process, in the middle of an examination."""


def anywhere(_: str) -> bool:
    return True


def examine(examinations: Examinations, path: Path) -> Finding:
    finding = CoreFilter({"asterisk"}, examinations=examinations).examine(str(path.parent), path.name)
    if isinstance(finding, Candidate):
        os.close(finding.descriptor)
    return finding


def die_while_examining(incoming: Path, path: Path) -> None:
    """Start a daemon that dies while it examines a file."""
    notes = ExaminationNotes(incoming)
    notes.recover(anywhere)
    with pytest.raises(Killed), notes.noted(str(path), path.stat()):
        raise Killed


def test_a_core_that_makes_astbtd_read_too_much_is_refused(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_FILE_BYTES", 1000)

    finding = examine(Examinations(), dump())

    assert isinstance(finding, RefusedFile)
    assert "it makes astbtd read more than" in finding.reason


def test_when_the_budget_of_an_owner_is_used_up_its_files_wait_for_the_next_scan(
    dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_OWNER_SECONDS", 0.0)
    examinations = Examinations()
    path = dump()
    os.truncate(path, 64)  # no core any more: only its header

    assert isinstance(examine(examinations, path), RefusedFile)
    assert isinstance(examine(examinations, path), Postponed)

    examinations.renew_budgets()
    assert isinstance(examine(examinations, path), RefusedFile)


def test_the_bytes_that_are_read_of_the_files_of_a_user_who_does_not_run_the_pbx_are_limited(
    dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_OWNER_BYTES", 0)
    examinations = Examinations(may_dump=lambda _: False)
    path = dump()
    os.truncate(path, 64)

    assert isinstance(examine(examinations, path), RefusedFile)
    postponed = examine(examinations, path)

    assert isinstance(postponed, Postponed)
    assert "read more than" in postponed.reason


def test_cores_of_asterisk_are_charged_to_an_owner_who_does_not_run_the_pbx(
    dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_OWNER_SECONDS", 0.0)
    examinations = Examinations(may_dump=lambda _: False)
    path = dump()

    assert [type(examine(examinations, path)) for _ in range(2)] == [Candidate, Postponed]


def test_cores_of_asterisk_are_not_charged_to_a_user_of_the_pbx(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_OWNER_SECONDS", 0.0)
    examinations = Examinations()
    path = dump()

    assert [type(examine(examinations, path)) for _ in range(3)] == [Candidate] * 3


def test_a_file_whose_examination_has_ended_the_daemon_twice_is_skipped(dump: Dump, tmp_path: Path) -> None:
    path = dump()
    die_while_examining(tmp_path, path)
    die_while_examining(tmp_path, path)
    notes = ExaminationNotes(tmp_path)

    assert [note.path for note in notes.recover(anywhere)] == [str(path)]
    finding = examine(Examinations(notes), path)

    assert isinstance(finding, RefusedFile)
    assert "the daemon has ended 2 times while it examined this file" in finding.reason


def test_a_file_that_was_examined_once_in_vain_is_examined_again_and_then_forgotten(dump: Dump, tmp_path: Path) -> None:
    path = dump()
    die_while_examining(tmp_path, path)
    notes = ExaminationNotes(tmp_path)

    assert notes.recover(anywhere) == []
    assert isinstance(examine(Examinations(notes), path), Candidate)

    assert ExaminationNotes(tmp_path).all() == {}


def test_a_death_counts_once_even_if_the_file_is_not_examined_again(dump: Dump, tmp_path: Path) -> None:
    die_while_examining(tmp_path, dump())

    for _ in range(3):
        assert ExaminationNotes(tmp_path).recover(anywhere) == []


def test_a_file_that_has_changed_since_is_examined(dump: Dump, tmp_path: Path) -> None:
    path = dump()
    die_while_examining(tmp_path, path)
    die_while_examining(tmp_path, path)
    path.write_bytes(path.read_bytes() + b"\0")
    notes = ExaminationNotes(tmp_path)

    assert notes.recover(anywhere) == []
    assert notes.all() == {}
    assert isinstance(examine(Examinations(notes), path), Candidate)


def test_a_directory_that_may_not_respond_is_not_accessed_for_notes(dump: Dump, tmp_path: Path) -> None:
    path = dump()
    die_while_examining(tmp_path, path)
    path.unlink()

    ExaminationNotes(tmp_path).recover(lambda directory: directory != str(path.parent))

    assert [note.deaths for note in ExaminationNotes(tmp_path).all().values()] == [1]


def test_errors_after_which_the_daemon_goes_on_leave_no_note(dump: Dump, tmp_path: Path) -> None:
    path = dump()
    notes = ExaminationNotes(tmp_path)

    with pytest.raises(OSError, match="cannot be read"), notes.noted(str(path), path.stat()):
        raise OSError("cannot be read")

    assert notes.all() == {}


def test_without_space_for_a_note_the_file_is_examined_all_the_same(dump: Dump, tmp_path: Path) -> None:
    notes = ExaminationNotes(tmp_path / "missing")

    assert isinstance(examine(Examinations(notes), dump()), Candidate)


def test_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    (tmp_path / f"{'0f' * 16}.examined").write_text("{")

    assert ExaminationNotes(tmp_path).recover(anywhere) == []
