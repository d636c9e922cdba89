"""What the status and the journal say about extractions that the daemon repeats by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from astbtd.announce import journal
from astbtd.daemon.extraction_monitor import ExtractionMonitor
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.errors import NoRoom
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.model.crash import Crash, Verdict
from astbtd.pipeline.automatic_extraction import SYMBOLS_APPEARED, AutomaticExtraction, Reports
from astbtd.pipeline.reextraction import ExtractedAgain
from astbtd.store.store import Store
from tests.support.builders import crash

BROKEN = GdbCannotStart("no libpython", "install it")


def with_verdict(made: Crash, verdict: Verdict) -> Crash:
    return replace(made, diagnosis=replace(made.diagnosis, verdict=verdict))


@dataclass
class FakeAutomatic:
    """Reports the results, or raises."""

    results: list[ExtractedAgain] = field(default_factory=list)
    error: Exception | None = None
    is_done: bool = True
    runs: int = 0

    def run(self, _: Callable[[], bool], reports: Reports) -> bool:
        self.runs += 1
        if self.error:
            raise self.error
        for each in self.results:
            reports.on_extracted(each, SYMBOLS_APPEARED)
        return self.is_done


@dataclass
class Bench:
    """A monitor with a fake behind it, and the messages in the journal."""

    monitor: ExtractionMonitor
    statistics: StoreStatistics
    messages: list[str]
    automatic: FakeAutomatic = field(default_factory=FakeAutomatic)

    def run(self, *, interrupted: bool = False) -> None:
        self.monitor.extract_if_due(cast(AutomaticExtraction, self.automatic), lambda: interrupted)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    store, messages = Store(tmp_path), list[str]()
    monkeypatch.setattr(journal, "log", lambda message, *_: messages.append(message))
    monkeypatch.setattr(journal, "announce_usable_crash", lambda after, _: messages.append(f"usable {after.id}"))
    statistics = StoreStatistics(store)
    return Bench(ExtractionMonitor(store, statistics), statistics, messages)


def test_it_looks_after_the_start_and_on_request(bench: Bench) -> None:
    bench.run()
    bench.run()
    assert bench.automatic.runs == 1

    bench.monitor.request()
    bench.run()
    assert bench.automatic.runs == 2


def test_what_a_queued_core_interrupts_is_continued_without_a_request(bench: Bench) -> None:
    bench.run(interrupted=True)
    assert bench.automatic.runs == 0

    interrupted = iter([False, True])
    bench.automatic.is_done = False
    bench.monitor.extract_if_due(cast(AutomaticExtraction, bench.automatic), lambda: next(interrupted))
    bench.run()

    assert bench.automatic.runs == 2


def test_a_crash_that_became_usable_is_announced_and_others_are_logged(bench: Bench) -> None:
    made = crash()
    unusable, usable = with_verdict(made, Verdict.UNUSABLE), with_verdict(made, Verdict.USABLE)
    bench.automatic.results = [ExtractedAgain(unusable, usable), ExtractedAgain(unusable, unusable)]

    bench.run()

    because = "debug files have appeared; its backtrace is unusable"
    assert bench.messages == [f"usable {made.id}", f"crash {made.id} was extracted again: {because}"]


def test_a_gdb_that_cannot_start_is_logged_once_and_shown_until_it_works(bench: Bench) -> None:
    bench.automatic.error = BROKEN
    for _ in range(2):
        bench.monitor.request()
        bench.run()
    assert bench.messages == ["gdb cannot start: no libpython; hint: install it"]
    assert list(bench.statistics.failures) == ["gdb cannot start: no libpython"]

    bench.automatic.error = None
    bench.monitor.request()
    bench.run()

    assert list(bench.statistics.failures) == []


def test_a_crash_that_awaits_gdb_shows_in_the_status_and_one_that_was_extracted_ends_that(bench: Bench) -> None:
    extracted = crash()
    without_gdb = replace(extracted.extraction, notes=(BROKEN.message,), awaits_gdb=True, gdb_version=None)

    bench.monitor.note_collected(replace(extracted, extraction=without_gdb))
    assert list(bench.statistics.failures) == [BROKEN.message]

    bench.monitor.note_collected(replace(extracted, extraction=replace(extracted.extraction, gdb_version="16.3")))
    assert list(bench.statistics.failures) == []


def test_a_full_disk_is_reported_by_the_worker(bench: Bench) -> None:
    bench.automatic.error = NoRoom("the disk is full")

    with pytest.raises(NoRoom):
        bench.run()
