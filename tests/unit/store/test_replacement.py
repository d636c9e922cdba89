"""Replacing the texts of a crash: all new files at once, all others kept."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.model.crash import Crash
from astbtd.store import replacement
from astbtd.store.replacement import replace_texts
from astbtd.store.store import Store
from tests.support.builders import crash


@pytest.fixture
def recorded(store: Store) -> Crash:
    """A crash with an old text, a core, and another file."""
    made = crash()
    staged = store.stage(made.id)
    for name in ("backtrace.txt", "info.txt", "core.zst", "log.txt"):
        (staged / name).write_text("old")
    store.commit(staged, made)
    return made


def replace_with_new(store: Store, made: Crash) -> Crash:
    staged = store.stage("staged")
    (staged / "backtrace.txt").write_text("new")
    return replace_texts(
        store, made.id, staged, lambda old: replace(old, host="new"), lambda _: (staged / "report.txt").touch()
    )


@pytest.mark.parametrize("can_exchange", [True, False])
def test_texts_and_record_are_replaced_and_other_files_are_kept(
    store: Store, recorded: Crash, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    core = store.kept_core(recorded.id).stat().st_ino
    if not can_exchange:
        monkeypatch.setattr(replacement, "exchange", lambda *_: False)

    assert replace_with_new(store, recorded).host == "new"

    directory = store.directory(recorded.id)
    assert sorted(os.listdir(directory)) == ["backtrace.txt", "core.zst", "crash.json", "log.txt", "report.txt"]
    assert (directory / "backtrace.txt").read_text() == "new"
    assert store.load(recorded.id).host == "new"
    assert store.kept_core(recorded.id).stat().st_ino == core


def test_a_full_disk_leaves_the_old_files(store: Store, recorded: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("astbtd.lib.files.sync_tree", fail)

    with pytest.raises(NoRoom):
        replace_with_new(store, recorded)

    assert store.load(recorded.id) == recorded
    assert (store.directory(recorded.id) / "info.txt").read_text() == "old"


def test_a_removed_crash_is_an_error(store: Store, recorded: Crash) -> None:
    store.remove(recorded.id)

    with pytest.raises(AstbtdError):
        replace_with_new(store, recorded)
