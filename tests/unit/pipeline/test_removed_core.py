"""Nobody is told to read a core that was removed."""

import errno
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from astbtd.daemon.maintenance import remove_and_log
from astbtd.diagnosis.advice import EXTRACT_AGAIN
from astbtd.lib import files
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, CoreState, Crash
from astbtd.pipeline.crash_report import write_report
from astbtd.pipeline.removed_core import record_core_state
from astbtd.store.integrity import discard_empty_core
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.store.store import Store
from tests.support.builders import crash

ADVICE = (f"Install the debug symbols, then {EXTRACT_AGAIN}.", "Attach the log.")


@pytest.fixture
def kept(store: Store) -> Crash:
    """A crash with its core, whose advice is to read the core again."""
    plain = crash(state=CoreState.CLAIMED)
    made = replace(plain, diagnosis=replace(plain.diagnosis, advice=ADVICE))
    staged = store.stage(made.id)
    write_report(made, staged)
    (staged / KEPT_CORE_FILE).write_bytes(b"core")
    store.commit(staged, made)
    return record_core_state(store, made.id, CoreState.KEPT)


def advises_to_read_the_core(store: Store, crash_id: str) -> list[bool]:
    """Return whether the record does, and whether the report does."""
    texts = (" ".join(store.load(crash_id).diagnosis.advice), (store.directory(crash_id) / REPORT_FILE).read_text())
    return ["astbtd extract" in text for text in texts]


def remove_core(store: Store, crash_id: str) -> None:
    remove_and_log(store, [Removal(crash_id, RemovedPart.CORE, 4, "too many")], lambda _: None)


def test_a_core_that_is_kept_can_be_read_again(store: Store, kept: Crash) -> None:
    assert (kept.core.state, kept.core.removed_at) == (CoreState.KEPT, None)
    assert advises_to_read_the_core(store, kept.id) == [True, True]


def test_when_retention_removes_the_core_record_and_report_lose_the_advice(store: Store, kept: Crash) -> None:
    remove_core(store, kept.id)

    after = store.load(kept.id)
    assert after.core.state is CoreState.REMOVED
    assert advises_to_read_the_core(store, kept.id) == [False, False]
    assert "this helps with the next crash" in after.diagnosis.advice[0]
    assert after.diagnosis.advice[1] == ADVICE[1]
    assert not store.has_core(kept.id)


def test_a_core_that_is_deleted_as_configured_leaves_no_such_advice_either(store: Store, kept: Crash) -> None:
    after = record_core_state(store, kept.id, CoreState.REMOVED)

    assert after.core.removed_at is not None
    assert advises_to_read_the_core(store, kept.id) == [False, False]


def test_a_core_that_is_found_empty_at_the_start_leaves_no_such_advice_either(store: Store, kept: Crash) -> None:
    os.truncate(store.kept_core(kept.id), 0)

    discard_empty_core(store, kept.id, partial(record_core_state, store))

    assert advises_to_read_the_core(store, kept.id) == [False, False]
    assert not store.has_core(kept.id)


def test_a_report_that_cannot_be_written_does_not_keep_the_core(
    store: Store, kept: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = files.replace

    def fail_for_report(path: Path, *arguments: object, **options: object) -> None:
        if path.name == REPORT_FILE:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, *arguments, **options)  # type: ignore[arg-type]  # the arguments are passed on

    monkeypatch.setattr(files, "replace", fail_for_report)
    remove_core(store, kept.id)

    assert not store.has_core(kept.id)
    assert advises_to_read_the_core(store, kept.id) == [False, True]
