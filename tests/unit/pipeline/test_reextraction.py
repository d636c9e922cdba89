"""Repeating an extraction: the better result is kept, and crashes are numbered by the new signatures."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from astbtd.errors import AstbtdError
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult, OpenForGdb
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.model.crash import CoreState, Crash, Section, Verdict
from astbtd.pipeline.reextraction import Reextraction
from astbtd.settings import GdbSettings
from astbtd.store.core_archive import compress_core
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from tests.support.builders import DeadProcess, crash, signature_of
from tests.support.stores import commit

USABLE = "Thread 1 (LWP 4243):\n#0  0x10000123 in play (a=1) at p.c:1\n#1  0x10000234 in main () at m.c:1\n"
UNUSABLE = "Thread 1 (LWP 4243):\n#0  0x10000123 in ?? ()\n#1  0x10000234 in ?? ()\n"
OURSELVES = SandboxUser(os.geteuid(), os.getegid(), switched=False)


@dataclass
class FakeExtractor:
    """Writes a backtrace, or raises."""

    text: str = USABLE
    error: Exception | None = None
    settings: GdbSettings = field(default_factory=GdbSettings)
    user: SandboxUser = OURSELVES
    debug_directories: str = ""
    meanwhile: Callable[[], None] = lambda: None
    backtrace_written: Callable[[], object] = lambda: None

    def extract(self, open_core: OpenForGdb, directory: Path, *, crash_thread_only: bool = False) -> ExtractionResult:
        assert open_core().descriptor > 0
        assert open_core().facts.process.pid
        assert not crash_thread_only
        if self.error:
            raise self.error
        (directory / Section.BACKTRACE).write_text(self.text)
        sections = {Section.BACKTRACE.value: len(self.text)}
        return replace(NO_EXTRACTION, extraction=replace(NO_EXTRACTION.extraction, sections=sections))


@pytest.fixture
def core(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "core").write_bytes(DeadProcess().core())
    descriptor = os.open(tmp_path / "core", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def add(store: Store, core: int, minutes: float, occurrence: int, *, usable: bool = False) -> Crash:
    """Store a crash with its core, by default without a usable backtrace."""
    made = crash(minutes, identity=f"{int(minutes):032x}")
    diagnosis = replace(made.diagnosis, verdict=Verdict.USABLE if usable else Verdict.UNUSABLE)
    signature = replace(signature_of(made), occurrence=occurrence)
    made = replace(made, diagnosis=replace(diagnosis, quality=1.0 if usable else 0.0), signature=signature)
    commit(store, made)
    (store.directory(made.id) / Section.INFO).write_text("old")
    compress_core(core, store.kept_core(made.id), lambda _: None)
    return made


def again(store: Store, extractor: FakeExtractor) -> Reextraction:
    return Reextraction(store, cast(Extractor, extractor), DiskReserve(store.root, 0.0), lambda _: None)


def test_a_better_result_replaces_texts_and_record(store: Store, core: int) -> None:
    before = add(store, core, 1, 1)

    result = again(store, FakeExtractor()).extract_kept(before.id, "symbols were installed")

    after, directory = store.load(before.id), store.directory(before.id)
    assert result.after == after
    assert result.became_usable
    assert (after.diagnosis.crash_function, after.diagnosis.verdict) == ("play", Verdict.USABLE)
    assert (directory / Section.BACKTRACE).read_text() == USABLE
    assert not (directory / Section.INFO).exists()
    assert "play" in (directory / "report.txt").read_text()
    assert store.has_core(before.id)
    assert [(run.why, run.verdict) for run in after.extraction_history] == [
        ("the core was collected", Verdict.UNUSABLE),
        ("symbols were installed", Verdict.USABLE),
    ]
    assert (after.core, after.crashed_at, after.announced_at) == (before.core, before.crashed_at, before.announced_at)


def test_a_worse_result_leaves_nothing_but_an_entry_in_the_history(store: Store, core: int) -> None:
    before = add(store, core, 1, 1, usable=True)

    result = again(store, FakeExtractor(UNUSABLE)).extract_kept(before.id, "a test")

    assert result.worse is Verdict.UNUSABLE
    after = store.load(before.id)
    unchanged = replace(before, extraction_history=after.extraction_history, lacking_symbols=after.lacking_symbols)
    assert after == unchanged
    assert after.extraction_history[-1].why == "a test; the result was not kept"
    assert (store.directory(before.id) / Section.INFO).read_text() == "old"


def test_crashes_are_numbered_by_the_new_signature(store: Store, core: int) -> None:
    moved, later, latest = add(store, core, 1, 3), add(store, core, 2, 4), add(store, core, 3, 5)
    extraction = again(store, FakeExtractor())

    extraction.extract_kept(latest.id, "a test")
    extraction.extract_kept(moved.id, "a test")

    signatures = [signature_of(store.load(each.id)) for each in (moved, later, latest)]
    assert [each.text for each in signatures] == ["fault in play", signature_of(later).text, "fault in play"]
    assert [each.occurrence for each in signatures] == [1, 3, 2]


def test_the_history_keeps_the_first_extraction_and_the_latest(store: Store, core: int) -> None:
    made = add(store, core, 1, 1)
    for number in range(25):
        again(store, FakeExtractor()).extract_kept(made.id, str(number))

    history = store.load(made.id).extraction_history
    assert [history[0].why, history[1].why, history[-1].why] == ["the core was collected", "6", "24"]


def test_if_gdb_cannot_run_nothing_is_changed(store: Store, core: int) -> None:
    before = add(store, core, 1, 1)

    with pytest.raises(AstbtdError, match="gdb is not installed"):
        again(store, FakeExtractor(error=AstbtdError("gdb is not installed"))).extract_kept(before.id, "a test")

    assert store.load(before.id) == before
    assert sorted(os.listdir(store.incoming)) == ["extracting-again", "new"]


def test_a_core_that_is_not_kept_cannot_be_extracted_again(store: Store) -> None:
    made = crash(state=CoreState.LEFT)
    commit(store, made)

    with pytest.raises(AstbtdError, match="is not kept") as raised:
        again(store, FakeExtractor()).extract_kept(made.id, "a test")

    assert raised.value.remedy == "it was left in its place: astbtd extract /srv/core"


def test_texts_that_retention_has_removed_are_not_written_again(store: Store, core: int) -> None:
    made = add(store, core, 1, 1)
    store.change(made.id, lambda stored: replace(stored, texts_removed_at=stored.crashed_at))

    with pytest.raises(AstbtdError, match="retention has removed the texts"):
        again(store, FakeExtractor()).extract_kept(made.id, "a test")
