"""Cores that are extracted in full later: none is forgotten, and what they replace is replaced as a whole."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from astbtd.diagnosis.advice import EXTRACT_AGAIN
from astbtd.elf.core_notes import read_facts
from astbtd.errors import AstbtdError, Interrupted, NoRoom
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult, OpenForGdb
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.model.crash import CoreFacts, Crash, Section
from astbtd.pipeline.postponed_extraction import PostponedExtractions, extract_postponed
from astbtd.pipeline.reextraction import Reextraction
from astbtd.settings import GdbSettings
from astbtd.store.core_archive import compress_core
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from tests.support.builders import DeadProcess, crash

BACKTRACE = "Thread 1 (LWP 4243):\n#0  0x10000123 in play (a=1) at p.c:1\n#1  0x10000234 in main () at m.c:1\n"


OURSELVES = SandboxUser(os.geteuid(), os.getegid(), switched=False)


@dataclass
class FakeExtractor:
    """Writes a backtrace, or raises, maybe for one crash time only. Remembers the facts of each core."""

    error: BaseException | None = None
    fails_at: datetime | None = None
    settings: GdbSettings = field(default_factory=GdbSettings)
    user: SandboxUser = OURSELVES
    debug_directories: str = ""
    meanwhile: Callable[[], None] = lambda: None
    backtrace_written: Callable[[], object] = lambda: None
    facts: list[CoreFacts] = field(default_factory=list)

    def extract(self, open_core: OpenForGdb, directory: Path, *, crash_thread_only: bool = False) -> ExtractionResult:
        core, facts = open_core().descriptor, open_core().facts
        assert not crash_thread_only
        assert read_facts(core).process.pid == facts.process.pid
        self.facts.append(facts)
        if self.error and self.fails_at in (None, facts.crashed_at):
            raise self.error
        for section in (Section.BACKTRACE, Section.THREAD1, Section.FULL):
            (directory / section).write_text(BACKTRACE)
        return replace(NO_EXTRACTION, extraction=replace(NO_EXTRACTION.extraction, sections={"full.txt": 1}))


@pytest.fixture
def core(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "core"
    path.write_bytes(DeadProcess().core())
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def add(store: Store, core: int, minutes: float) -> Crash:
    """Store a crash whose extraction is postponed, with its core."""
    made = crash(minutes)
    made = replace(made, extraction=replace(made.extraction, postponed=True))
    PostponedExtractions(store).add(made.id)
    staged = store.stage(made.id)
    (staged / Section.BACKTRACE).write_text("part\n")
    store.commit(staged, made)
    compress_core(core, store.kept_core(made.id), lambda _: None)
    return made


def extract(store: Store, extractor: FakeExtractor, is_interrupted: Callable[[], bool] = lambda: False) -> bool:
    again = Reextraction(store, cast(Extractor, extractor), DiskReserve(store.root, 0.0), lambda _: None)
    return extract_postponed(again, is_interrupted)


def test_a_postponed_core_is_extracted_and_its_texts_are_replaced(store: Store, core: int) -> None:
    made, extractor = add(store, core, 1), FakeExtractor()

    assert extract(store, extractor)

    after, directory = store.load(made.id), store.directory(made.id)
    assert (after.extraction.postponed, after.diagnosis.crash_function) == (False, "play")
    assert (directory / Section.BACKTRACE).read_text() == (directory / Section.FULL).read_text() == BACKTRACE
    assert "play" in (directory / "report.txt").read_text()
    assert (after.core, after.crashed_at) == (made.core, made.crashed_at)
    assert after.extraction_history[-1].why == "it was extracted only in part before"
    assert (extractor.facts[0].crashed_at, extractor.facts[0].process) == (made.crashed_at, made.process)
    assert store.kept_core(made.id).exists()
    assert PostponedExtractions(store).ids() == ()
    assert sorted(path.name for path in store.incoming.iterdir()) == ["changes", "extracting-again", "new"]


def test_a_queued_core_comes_first(store: Store, core: int) -> None:
    for minutes in range(3):
        add(store, core, minutes)
    queued = iter([False, True])

    assert not extract(store, FakeExtractor(), lambda: next(queued))

    assert [each.extraction.postponed for each in store.crashes()] == [True, True, False]
    assert extract(store, FakeExtractor())
    assert not any(each.extraction.postponed for each in store.crashes())


def test_a_core_that_cannot_be_extracted_now_stays_on_the_list(store: Store, core: int) -> None:
    made = add(store, core, 1)

    with pytest.raises(AstbtdError):
        extract(store, FakeExtractor(AstbtdError("gdb is not installed")))

    assert PostponedExtractions(store).ids() == (made.id,)
    assert (store.directory(made.id) / Section.BACKTRACE).read_text() == "part\n"
    assert not list(store.incoming.glob("*.core"))


class EndOfTheDaemon(BaseException):
    """Ends the attempt as a kill does: nothing in the way handles it."""


@pytest.mark.parametrize(
    "error", [ValueError("internal error"), AstbtdError("gdb's output is invalid"), EndOfTheDaemon()]
)
def test_a_core_at_which_every_attempt_fails_is_given_up(store: Store, core: int, error: BaseException) -> None:
    made = add(store, core, 1)

    for _ in range(3):
        with pytest.raises(type(error)):
            extract(store, FakeExtractor(error))
        assert store.load(made.id).extraction.postponed
    assert extract(store, FakeExtractor(error))

    after = store.load(made.id)
    assert not after.extraction.postponed
    assert "3 attempts to extract the core in full did not come to an end" in after.extraction.notes[-1]
    assert store.has_core(made.id)
    assert PostponedExtractions(store).ids() == ()


def test_a_core_at_which_an_attempt_fails_does_not_keep_the_others_from_being_extracted(
    store: Store, core: int
) -> None:
    failing, sound = add(store, core, 1), add(store, core, 2)

    with pytest.raises(ValueError, match="internal error"):
        extract(store, FakeExtractor(ValueError("internal error"), fails_at=failing.crashed_at))

    assert [store.load(each.id).extraction.postponed for each in (failing, sound)] == [True, False]


@pytest.mark.parametrize("error", [NoRoom("disk full"), GdbCannotStart("no gdb", ""), Interrupted("the daemon stops")])
def test_an_attempt_that_says_nothing_about_the_core_is_not_counted(
    store: Store, core: int, error: AstbtdError
) -> None:
    made = add(store, core, 1)

    for _ in range(4):
        with pytest.raises(type(error)):
            extract(store, FakeExtractor(error))

    assert extract(store, FakeExtractor())
    assert store.load(made.id).diagnosis.crash_function == "play"


def test_a_damaged_core_is_noted_and_does_not_keep_the_others_from_being_extracted(store: Store, core: int) -> None:
    damaged, sound = add(store, core, 1), add(store, core, 2)
    advice = (f"{EXTRACT_AGAIN}.",)
    store.change(damaged.id, lambda crash: replace(crash, diagnosis=replace(crash.diagnosis, advice=advice)))
    kept = store.kept_core(damaged.id)
    os.truncate(kept, kept.stat().st_size - 4)

    assert extract(store, FakeExtractor())

    after = store.load(damaged.id)
    assert (after.extraction.postponed, after.diagnosis.advice) == (False, ())
    assert "the kept core is damaged" in after.extraction.notes[-1]
    assert store.load(sound.id).diagnosis.crash_function == "play"
    assert PostponedExtractions(store).ids() == ()


def test_a_removed_core_is_noted(store: Store, core: int) -> None:
    made = add(store, core, 1)
    store.kept_core(made.id).unlink()

    assert extract(store, FakeExtractor())

    after = store.load(made.id)
    assert not after.extraction.postponed
    assert "was removed before it could be extracted in full" in after.extraction.notes[-1]


def test_a_crash_that_is_gone_is_taken_off_the_list(store: Store, core: int) -> None:
    store.remove(add(store, core, 1).id)

    assert extract(store, FakeExtractor())

    assert PostponedExtractions(store).ids() == ()
