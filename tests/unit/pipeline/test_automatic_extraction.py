"""Crashes that benefit are extracted again: newest of each signature first, within a budget, once for each change."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from astbtd.errors import AstbtdError, NoRoom
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import Crash, LackingSymbols, Verdict
from astbtd.pipeline import automatic_extraction
from astbtd.pipeline.automatic_extraction import (
    GDB_WORKS,
    SYMBOLS_APPEARED,
    AutomaticExtraction,
    Benefiting,
    Reports,
    find_benefiting,
)
from astbtd.pipeline.extraction_attempts import MOST_FAILURES, ExtractionAttempts
from astbtd.pipeline.reextraction import ExtractedAgain, Reextraction
from astbtd.store.store import Store
from astbtd.symbols.symbol_directories import debug_file_name, debug_file_version
from tests.support.builders import crash
from tests.support.stores import commit

BUILD, OTHER = "ab" * 20, "cd" * 20
NOW = 4e9


@pytest.fixture
def debug(tmp_path: Path) -> Path:
    """A directory of debug files with one for BUILD."""
    path = tmp_path / "debug" / debug_file_name(BUILD)
    path.parent.mkdir(parents=True)
    path.touch()
    return tmp_path / "debug"


def add(
    store: Store,
    minutes: float,
    *,
    signature: str = "0123456789ab",
    verdict: Verdict = Verdict.UNUSABLE,
    lacking: tuple[LackingSymbols, ...] = (LackingSymbols(BUILD),),
    has_core: bool = True,
    awaits_gdb: bool = False,
    foreign: bool = False,
) -> str:
    """Store a crash; return its id."""
    made = crash(minutes, identity=f"{int(minutes):032x}", signature=signature)
    made = replace(
        made,
        foreign=foreign,
        lacking_symbols=None if awaits_gdb else lacking,
        diagnosis=replace(made.diagnosis, verdict=verdict),
        extraction=replace(made.extraction, awaits_gdb=awaits_gdb),
    )
    commit(store, made)
    if has_core:
        store.kept_core(made.id).write_bytes(b"core")
    return made.id


def ids(found: list[Benefiting]) -> list[str]:
    return [each.crash_id for each in found]


def test_only_kept_crashes_that_lack_what_appeared_benefit(store: Store, debug: Path) -> None:
    benefiting = add(store, 1)
    add(store, 2, lacking=(LackingSymbols(OTHER),))
    add(store, 3, has_core=False)
    add(store, 4, lacking=())

    assert find_benefiting(store, [str(debug)], NOW) == [Benefiting(benefiting, SYMBOLS_APPEARED)]


def test_a_debug_file_that_was_there_before_has_not_appeared_unless_it_was_replaced(store: Store, debug: Path) -> None:
    version = debug_file_version([str(debug)], BUILD, NOW)
    crash_id = add(store, 1, lacking=(LackingSymbols(BUILD, version),))
    assert find_benefiting(store, [str(debug)], NOW) == []

    (debug / debug_file_name(BUILD)).write_bytes(b"another one")

    assert ids(find_benefiting(store, [str(debug)], NOW)) == [crash_id]


def test_a_debug_file_of_the_future_waits(store: Store, debug: Path) -> None:
    add(store, 1)

    assert find_benefiting(store, [str(debug)], os.stat(debug / debug_file_name(BUILD)).st_ctime - 1) == []


def test_a_crash_that_awaits_gdb_benefits(store: Store) -> None:
    crash_id = add(store, 1, awaits_gdb=True)

    assert find_benefiting(store, [], NOW) == [Benefiting(crash_id, GDB_WORKS)]


def test_foreign_crashes_come_last_and_no_debug_files_are_looked_for(store: Store, debug: Path) -> None:
    of_pbx = add(store, 1, awaits_gdb=True)
    foreign = add(store, 2, awaits_gdb=True, foreign=True)
    add(store, 3, foreign=True)

    assert ids(find_benefiting(store, [str(debug)], NOW)) == [of_pbx, foreign]


def test_what_is_not_usable_comes_first_and_of_each_signature_the_newest(store: Store, debug: Path) -> None:
    old = add(store, 1, signature="aaaaaaaaaaaa")
    new = add(store, 2, signature="aaaaaaaaaaaa")
    other = add(store, 0, signature="bbbbbbbbbbbb")
    usable = add(store, 3, signature="cccccccccccc", verdict=Verdict.USABLE)

    assert ids(find_benefiting(store, [str(debug)], NOW)) == [new, other, old, usable]


@dataclass
class FakeReextraction:
    """Notes what was extracted, and that it lacks what it lacked; raises what a test says."""

    store: Store
    directory: Path
    error: Exception | None = None
    extracted: list[str] = field(default_factory=list)

    @property
    def extractor(self) -> Extractor:
        return cast(Extractor, _FakeExtractor(str(self.directory)))

    def extract_kept(self, crash_id: str, why: str) -> ExtractedAgain:
        self.extracted.append(crash_id)
        if self.error:
            raise self.error
        version = debug_file_version([str(self.directory)], BUILD, NOW)

        def update(stored: Crash) -> Crash:
            extraction = replace(stored.extraction, awaits_gdb=False)
            return replace(stored, lacking_symbols=(LackingSymbols(BUILD, version),), extraction=extraction)

        before = self.store.load(crash_id)
        assert why
        return ExtractedAgain(before, self.store.change(crash_id, update))


@dataclass(frozen=True)
class _FakeExtractor:
    debug_directories: str
    settings: object = None  # for the probe, which the tests replace
    user: object = None


@dataclass
class Bench:
    """An automatic extraction with fakes, and what it reported."""

    again: FakeReextraction
    per_hour: int = 9
    time: float = NOW
    reported: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, is_interrupted: Callable[[], bool] = lambda: False) -> bool:
        attempts = ExtractionAttempts(self.again.store, self.per_hour, lambda: self.time)
        reports = Reports(lambda result, why: self.reported.append(f"{result.after.id} {why}"), self.failures.append)
        return AutomaticExtraction(cast(Reextraction, self.again), attempts).run(is_interrupted, reports)


@pytest.fixture
def bench(store: Store, debug: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(automatic_extraction, "probe_gdb", lambda *_: None)
    return Bench(FakeReextraction(store, debug))


def test_a_crash_that_did_not_improve_is_not_extracted_until_its_debug_file_changes(bench: Bench, debug: Path) -> None:
    crash_id = add(bench.again.store, 1)

    assert bench.run()
    assert bench.run()
    assert bench.again.extracted == [crash_id]
    assert bench.reported == [f"{crash_id} {SYMBOLS_APPEARED}"]

    (debug / debug_file_name(BUILD)).write_bytes(b"another one")
    assert bench.run()
    assert bench.again.extracted == [crash_id, crash_id]


def test_the_budget_of_an_hour_is_kept_and_the_rest_follows(bench: Bench) -> None:
    for minutes in range(3):
        add(bench.again.store, minutes)
    bench.per_hour = 2

    assert not bench.run()
    assert len(bench.again.extracted) == 2

    bench.time += 3600
    assert bench.run()
    assert len(set(bench.again.extracted)) == 3


def test_a_queued_core_comes_first(bench: Bench) -> None:
    add(bench.again.store, 1)

    assert not bench.run(lambda: True)
    assert bench.again.extracted == []


def test_nothing_is_tried_while_gdb_cannot_start(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    add(bench.again.store, 1, awaits_gdb=True)

    def fail(*_: object) -> None:
        raise GdbCannotStart("no libpython", "install it")

    monkeypatch.setattr(automatic_extraction, "probe_gdb", fail)

    with pytest.raises(GdbCannotStart):
        bench.run()
    assert bench.again.extracted == []


@pytest.mark.parametrize("error", [NoRoom("the disk is full"), GdbCannotStart("no libpython", "install it")])
def test_a_fault_of_the_machine_ends_the_run_and_is_not_counted(bench: Bench, error: AstbtdError) -> None:
    crash_id = add(bench.again.store, 1)
    bench.again.error = error

    for _ in range(MOST_FAILURES + 1):
        with pytest.raises(type(error)):
            bench.run()

    bench.again.error = None
    assert bench.run()
    assert bench.again.extracted == [crash_id] * (MOST_FAILURES + 2)


def test_a_crash_whose_core_is_damaged_costs_the_others_nothing_and_is_given_up(bench: Bench) -> None:
    good, bad = add(bench.again.store, 1), add(bench.again.store, 2)
    bench.again.error = AstbtdError("its core is damaged")

    for _ in range(MOST_FAILURES):
        assert bench.run()
    expected = [f"crash {each} cannot be extracted again: its core is damaged" for each in (bad, good)]
    assert bench.failures[:2] == expected
    assert bench.run()

    assert len(bench.again.extracted) == 2 * MOST_FAILURES
    assert "3 attempts to extract it again did not come to an end" in bench.failures[-1]
    assert bench.again.store.load(bad).extraction.notes[-1] in bench.failures[-1]
    assert find_benefiting(bench.again.store, [str(bench.again.directory)], NOW) == []


def test_attempts_that_ended_the_daemon_are_given_up(bench: Bench) -> None:
    crash_id = add(bench.again.store, 1, awaits_gdb=True)
    for _ in range(MOST_FAILURES):
        ExtractionAttempts(bench.again.store, 9, lambda: NOW).begin(crash_id)

    assert bench.run()

    assert bench.again.extracted == []
    assert not bench.again.store.load(crash_id).extraction.awaits_gdb


def test_a_crash_that_is_removed_meanwhile_is_left_out(bench: Bench) -> None:
    first, second = add(bench.again.store, 2), add(bench.again.store, 1)
    extract_kept = bench.again.extract_kept

    def remove_and_extract(crash_id: str, why: str) -> ExtractedAgain:
        if crash_id == first:
            bench.again.store.remove(first)
        return extract_kept(crash_id, why)

    bench.again.extract_kept = remove_and_extract  # type: ignore[method-assign]

    assert bench.run()
    assert bench.reported == [f"{second} {SYMBOLS_APPEARED}"]
