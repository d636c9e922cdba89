"""The stages of a crash: what is recorded, and what happens to the core, also if a stage fails."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from astbtd.claims import claim_file
from astbtd.claims.claim import Claim, Claims
from astbtd.claims.core_filter import Candidate, examine
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.private_copy import NotUnpacked, Unpacker
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.elf.core_notes import file_identity
from astbtd.errors import AstbtdError, NoRoom
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import (
    LOG_FILE,
    REPORT_FILE,
    CoreAction,
    CoreFacts,
    CoreState,
    Crash,
    DiscoveredBy,
    ExtractionOutcome,
    IdentityFrom,
    LostCore,
    ReplacedRecord,
    Section,
    Verdict,
)
from astbtd.model.diagnosis import Diagnosis
from astbtd.model.surroundings import BeforeCrash, PbxState, Surroundings, Upgrade
from astbtd.pipeline.crash_pipeline import CrashPipeline
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings, GdbSettings, UnpackingSettings
from astbtd.sources.collectors.collector import CollectorMetadata
from astbtd.store.core_archive import verify_core
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from tests.support.builders import DeadProcess, crash, signature_of
from tests.support.packed import COMPRESS

BACKTRACE = """\
Thread 1 (LWP 4243):
#0  0x0000000010000123 in ast_bridge_join (bridge=0x0) at bridge.c:17
#1  0x0000000010000234 in main () at asterisk.c:1
"""


class EndOfTheDaemon(BaseException):
    """Ends the work as a kill does: nothing in the way handles it."""


@dataclass
class FakeExtractor:
    """Writes a backtrace, or raises the same error each time."""

    error: Exception | None = None
    settings: GdbSettings = field(default_factory=GdbSettings)
    debug_directories: str = ""
    crash_thread_only: list[bool] = field(default_factory=list)
    ended: ExtractionOutcome = ExtractionOutcome.OK
    backtrace: str = BACKTRACE
    meanwhile: Callable[[], None] = lambda: None
    backtrace_written: Callable[[], object] = lambda: None
    events: list[str] = field(default_factory=list)

    def extract(self, *arguments: object, crash_thread_only: bool = False) -> ExtractionResult:
        self.crash_thread_only.append(crash_thread_only)
        self.events.append("gdb was started")
        self.meanwhile()
        self.events.append("gdb has ended")
        if self.error:
            raise self.error
        directory = cast(Path, arguments[1])
        (directory / Section.BACKTRACE).write_text(self.backtrace)
        (directory / Section.THREAD1).write_text(self.backtrace)
        extraction = replace(NO_EXTRACTION.extraction, brief=crash_thread_only, ended=self.ended)
        return replace(NO_EXTRACTION, extraction=extraction)


PBX = PbxState(datetime(2026, 11, 29, 12, tzinfo=UTC), running=True)
BEFORE = BeforeCrash(Upgrade("asterisk", "22.9.0", "22.10.0", datetime(2026, 11, 28, tzinfo=UTC)), "the last line\n")


@dataclass
class Bench:
    """A store, a directory with cores, and a pipeline without gdb."""

    directory: Path
    store: Store
    claims: Claims
    extractor: FakeExtractor
    loops: CrashLoops
    announced: list[Crash] = field(default_factory=list)
    action: CoreAction = CoreAction.MOVE
    metadata: CollectorMetadata | None = None
    observed: list[CoreFacts] = field(default_factory=list)
    replaced: str | None = None

    @property
    def pipeline(self) -> CrashPipeline:
        return CrashPipeline(
            self.store,
            self.claims,
            DiskReserve(self.directory, 0.0),
            cast(Extractor, self.extractor),
            self.loops,
            self.action,
            announce=self._announce,
            progress=lambda _: None,
            collect_metadata=lambda _: self.metadata,
            read_before=self._read_before,
            observe=self._observe,
        )

    def claim(self, process: DeadProcess | None = None, name: str = "core", *, copy: bool = False) -> Claim:
        """Write a core, and claim it."""
        (self.directory / name).write_bytes((process or DeadProcess()).core())
        found = examine(str(self.directory), name, None)
        assert isinstance(found, Candidate)
        return self.claims.claim_core(found, DiscoveredBy.EVENT, copy=copy)

    def process(self, claim: Claim) -> Crash:
        crash = self.pipeline.process(claim)
        assert crash is not None
        return crash

    def _read_before(self, _: CoreFacts) -> BeforeCrash:
        self.extractor.events.append("the log was read")
        return BEFORE

    def _observe(self, facts: CoreFacts, before: BeforeCrash, replaced: str | None) -> Surroundings:
        self.replaced = replaced
        self.extractor.events.append("the PBX was observed")
        self.observed.append(facts)
        return Surroundings(PBX, before.upgrade, before.log)

    def _announce(self, _: Claim, crash: Crash, directory: Path) -> None:
        assert directory.is_dir()
        self.loops.count(crash)
        self.announced.append(crash)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    directory = tmp_path / "spool"
    directory.mkdir()
    store = Store(tmp_path / "store")
    store.prepare()
    reserve = DiskReserve(tmp_path, 0.0)
    claims = Claims(store.incoming, -1, Unpacker(UnpackingSettings(), reserve.check, lambda: None))
    loops = CrashLoops(CrashLoopSettings(crashes=2), store.incoming / "loops")
    return Bench(directory, store, claims, FakeExtractor(), loops)


def process(number: int, returns_to: tuple[int, ...] = ()) -> DeadProcess:
    return DeadProcess(pid=number, random=number.to_bytes(16, "big"), returns_to=returns_to)


def test_a_crash_is_recorded_and_announced_and_its_core_is_moved_to_the_store(bench: Bench) -> None:
    crash = bench.process(bench.claim())

    assert bench.store.load(crash.id) == crash
    assert crash.diagnosis.crash_function == "ast_bridge_join"
    assert [announced.id for announced in bench.announced] == [crash.id]
    assert crash.announced_at is not None
    assert crash.core.state is CoreState.KEPT
    assert os.listdir(bench.directory) == []
    assert (bench.store.root / "latest").resolve() == bench.store.directory(crash.id)


@pytest.mark.parametrize(
    ("action", "copy", "state", "remaining"),
    [
        (CoreAction.LEAVE, False, CoreState.LEFT, ["core"]),
        (CoreAction.DELETE, False, CoreState.REMOVED, []),
        (CoreAction.DELETE, True, CoreState.LEFT, ["core"]),
        (CoreAction.MOVE, True, CoreState.KEPT, ["core"]),
    ],
)
def test_the_core_is_disposed_of_as_configured(
    bench: Bench, action: CoreAction, copy: bool, state: CoreState, remaining: list[str]
) -> None:
    bench.action = action

    crash = bench.process(bench.claim(copy=copy))

    assert crash.core.state is state
    assert (crash.core.removed_at is not None) is (state is CoreState.REMOVED)
    assert os.listdir(bench.directory) == remaining


def test_an_older_crash_that_is_processed_later_does_not_become_the_latest(bench: Bench) -> None:
    newer = bench.process(bench.claim(process(1)))
    older_claim = bench.claim(process(2))
    facts = older_claim.record.facts
    older_claim.record = replace(
        older_claim.record, facts=replace(facts, crashed_at=facts.crashed_at - timedelta(hours=1))
    )

    bench.process(older_claim)

    assert (bench.store.root / "latest").resolve() == bench.store.directory(newer.id)


def test_a_crash_that_was_collected_before_is_not_recorded_again(bench: Bench) -> None:
    first = bench.process(bench.claim())
    (bench.store.directory(first.id)).rename(bench.directory / "removed")

    assert bench.pipeline.process(bench.claim(name="core.again")) is None

    assert bench.store.ids() == []
    assert not list(bench.store.incoming.glob("*.claim"))


def test_a_file_that_turns_out_not_to_be_a_core_is_reported_and_its_claim_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotUnpacked("it is not a core")

    claim = bench.claim()
    monkeypatch.setattr(Claims, "prepare", refuse)

    with pytest.raises(NotUnpacked):
        bench.pipeline.process(claim)

    assert not list(bench.store.incoming.glob("*.claim"))
    assert os.listdir(bench.directory) == ["core"]


def test_the_record_of_the_death_is_replaced_although_the_daemon_ended_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise EndOfTheDaemon

    claim = bench.claim()
    facts = claim.record.facts
    death = replace(crash(pid=facts.process.pid or 0, state=CoreState.NONE), crashed_at=facts.crashed_at)
    death = replace(death, id=f"{facts.crashed_at:%Y%m%dT%H%M%SZ}-{facts.process.pid}-0a1b2c")
    bench.store.commit(bench.store.stage(death.id), death)
    with monkeypatch.context() as patched:
        patched.setattr("astbtd.pipeline.crash_pipeline.remove_replaced", end)
        with pytest.raises(EndOfTheDaemon):
            bench.process(claim)
    assert death.id in bench.store.ids()

    recorded = bench.process(claim)

    assert bench.store.ids() == [recorded.id]
    assert bench.replaced == death.id
    assert recorded.replaces == ReplacedRecord(death.id, death.site.id if death.site else None)


def test_a_death_whose_core_comes_while_it_waits_is_no_crash_of_its_own(bench: Bench) -> None:
    core = bench.claim()
    facts = core.record.facts
    loss = LostCore("no core appeared", "run check", is_none=True)
    lost = replace(facts, identity="d" * 32, identity_from=IdentityFrom.DEATH)
    death = bench.claims.claim_lost_core(replace(core.record, facts=lost, copied=True, loss=loss))
    recorded = bench.process(core)

    assert bench.pipeline.process(death) is None

    assert bench.store.ids() == [recorded.id]
    assert list(bench.claims.ids()) == []


def test_metadata_of_a_collector_completes_the_facts(bench: Bench) -> None:
    bench.metadata = CollectorMetadata(cwd="/var/lib/asterisk")

    assert bench.process(bench.claim()).process.cwd == "/var/lib/asterisk"


def test_metadata_that_contradicts_the_core_is_ignored(bench: Bench) -> None:
    bench.metadata = CollectorMetadata(signal=6, cwd="/evil")

    assert bench.process(bench.claim()).process.cwd is None


def test_in_a_crash_loop_only_the_crashed_thread_is_extracted(bench: Bench) -> None:
    for number in (1, 2):
        bench.process(bench.claim(process(number)))

    crash = bench.process(bench.claim(process(3)))

    assert bench.extractor.crash_thread_only == [False, False, True]
    assert (crash.extraction.brief, crash.core.state) == (True, CoreState.REMOVED)


def test_in_a_crash_loop_a_crash_at_another_site_is_extracted_in_full(bench: Bench) -> None:
    for number in (1, 2):
        bench.process(bench.claim(process(number)))
    bench.extractor.backtrace = BACKTRACE.replace("0123", "0124")

    crash = bench.process(bench.claim(process(3)))

    assert bench.extractor.crash_thread_only == [False, False, True, False]
    assert (crash.extraction.brief, crash.core.state) == (False, CoreState.KEPT)
    assert crash.diagnosis.crash_function == "ast_bridge_join"


@pytest.mark.parametrize("other", [{"uid": 1000}, {"build_id": b"\xcd" * 20}])
def test_a_crash_loop_of_another_user_or_build_costs_the_next_crash_nothing(
    bench: Bench, other: dict[str, Any]
) -> None:
    for number in (1, 2, 3):
        bench.process(bench.claim(replace(process(number, (0x10, 0x20)), **other)))

    crash = bench.process(bench.claim(process(4, (0x10, 0x20))))

    assert bench.extractor.crash_thread_only == [False, False, False]
    assert (crash.extraction.brief, crash.core.state) == (False, CoreState.KEPT)
    assert crash.diagnosis.crash_function == "ast_bridge_join"


def test_of_many_new_sites_the_cores_are_kept_and_extracted_in_full_later(bench: Bench) -> None:
    crashes = []
    for number in range(1, 8):
        bench.extractor.backtrace = BACKTRACE.replace("0123", f"01{number:02}")
        crashes.append(bench.process(bench.claim(process(number))))

    assert bench.extractor.crash_thread_only == [False] * 5 + [True] * 2
    assert [crash.extraction.postponed for crash in crashes] == [False] * 5 + [True] * 2
    assert [crash.core.state for crash in crashes] == [CoreState.KEPT] * 7
    assert "is extracted in full when no core is queued" in crashes[-1].extraction.notes[-1]
    assert any("is extracted in full when" in reason for reason in crashes[-1].diagnosis.reasons)


def test_nothing_is_postponed_if_the_core_is_not_kept(bench: Bench) -> None:
    bench.action = CoreAction.LEAVE
    for number in range(1, 8):
        bench.extractor.backtrace = BACKTRACE.replace("0123", f"01{number:02}")
        assert not bench.process(bench.claim(process(number))).extraction.postponed


def test_a_core_that_is_not_kept_is_not_recommended_for_reading(bench: Bench) -> None:
    bench.extractor.ended = ExtractionOutcome.TIMEOUT
    first, _, third = (bench.process(bench.claim(process(number, (0x10, 0x20)))) for number in (1, 2, 3))

    assert any("astbtd extract" in line for line in first.diagnosis.advice)
    assert third.core.state is CoreState.REMOVED
    assert third.diagnosis.advice == ("Increase `gdb.time` in /etc/astbtd.yaml; this helps with the next crash.",)
    report = (bench.store.directory(third.id) / "report.txt").read_text()
    assert "the core was not kept: in a crash loop" in " ".join(report.split())
    assert "astbtd extract" not in report


def test_in_a_crash_loop_a_crash_at_a_known_site_is_recorded_without_gdb(bench: Bench) -> None:
    first, _ = (bench.process(bench.claim(process(number, (0x10, 0x20)))) for number in (1, 2))

    crash = bench.process(bench.claim(process(3, (0x10, 0x20))))

    assert len(bench.extractor.crash_thread_only) == 2
    assert signature_of(crash).id == signature_of(first).id
    assert crash.site == first.site
    assert crash.extraction.notes == (
        f"gdb was not run, and the core was not kept: in a crash loop, and the same stack as crash {first.id}",
    )


def test_a_known_site_whose_record_is_gone_is_extracted_again(bench: Bench) -> None:
    first, _ = (bench.process(bench.claim(process(number, (0x10, 0x20)))) for number in (1, 2))
    (bench.store.directory(first.id)).rename(bench.directory / "removed")

    bench.process(bench.claim(process(3, (0x10, 0x20))))

    assert bench.extractor.crash_thread_only == [False, False, True]


def test_a_lost_core_is_recorded_with_the_reason(bench: Bench) -> None:
    record = bench.claim(copy=True).record
    record = replace(record, facts=replace(record.facts, identity="ab" * 16))
    lost = replace(record, loss=LostCore("it was gone", "watch the directory"))

    crash = bench.process(bench.claims.claim_lost_core(lost))

    assert crash.core.state is CoreState.LOST
    assert bench.extractor.crash_thread_only == []


class TestRenames:
    """A collected core that is found under a new name."""

    def test_the_new_path_is_recorded_and_the_same_file_is_removed_there(self, bench: Bench) -> None:
        claim = bench.claim()
        (bench.directory / "core").rename(bench.directory / "moved")
        identity = file_identity((bench.directory / "moved").stat())
        bench.process(claim)
        assert os.listdir(bench.directory) == ["moved"]

        recorded = bench.pipeline.record_rename(CoreRenamed(claim.id, str(bench.directory), "moved", identity))

        assert recorded
        assert bench.store.load(claim.id).core.path == str(bench.directory / "moved")
        assert os.listdir(bench.directory) == []

    def test_a_rename_is_not_recorded_while_the_crash_is_being_processed(self, bench: Bench) -> None:
        claim = bench.claim()

        assert not bench.pipeline.record_rename(CoreRenamed(claim.id, str(bench.directory), "moved", "f1"))

    def test_the_path_stays_if_the_core_is_a_copy_of_one_that_still_exists(self, bench: Bench) -> None:
        bench.action = CoreAction.LEAVE
        crash = bench.process(bench.claim())

        assert bench.pipeline.record_rename(CoreRenamed(crash.id, str(bench.directory), "copy", "f1"))

        assert bench.store.load(crash.id).core.path == str(bench.directory / "core")

    def test_a_copy_of_a_core_that_was_removed_stays(self, bench: Bench) -> None:
        claim = bench.claim()
        copy = bench.directory / "copy"
        copy.write_bytes((bench.directory / "core").read_bytes())
        crash = bench.process(claim)

        assert bench.pipeline.record_rename(
            CoreRenamed(crash.id, str(bench.directory), "copy", file_identity(copy.stat()))
        )

        assert os.listdir(bench.directory) == ["copy"]

    def test_a_rename_of_a_core_whose_record_was_removed_is_ignored(self, bench: Bench) -> None:
        crash = bench.process(bench.claim())
        (bench.store.directory(crash.id)).rename(bench.directory / "removed")

        assert bench.pipeline.record_rename(CoreRenamed(crash.id, str(bench.directory), "moved", "f1"))


Fail = Callable[[Exception], Claim]


@pytest.fixture
def fail(bench: Bench) -> Fail:
    """Makes the extraction fail, and returns a claimed core."""

    def fail(error: Exception) -> Claim:
        bench.extractor.error = error
        return bench.claim()

    return fail


def test_after_repeated_internal_errors_the_crash_is_recorded_without_analysis(bench: Bench, fail: Fail) -> None:
    claim = fail(ValueError("wrong index"))
    for _ in range(2):
        with pytest.raises(ValueError, match="wrong index"):
            bench.process(claim)
        assert bench.store.ids() == []

    recorded = bench.process(claim)

    assert bench.store.load(recorded.id) == recorded
    assert recorded.extraction.ended is ExtractionOutcome.FAILED
    assert recorded.diagnosis.verdict is Verdict.UNUSABLE
    assert any("ValueError: wrong index" in reason for reason in recorded.diagnosis.reasons)
    assert any("Report this internal error" in advice for advice in recorded.diagnosis.advice)
    assert (recorded.signal, recorded.process.pid) != (None, None)
    assert bench.announced[0].id == recorded.id
    assert os.listdir(bench.store.directory(recorded.id)) != []


class Killed(BaseException):
    """The end of the daemon."""


def die_while_processing(bench: Bench, claim: Claim) -> Claim:
    """Let the daemon end while it works on a core, and return the claim that the next one resumes."""
    bench.extractor.error = cast(Exception, Killed())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("astbtd.claims.claim_file.end_attempts", lambda _: None)
        with pytest.raises(Killed):
            bench.process(claim)
    claim.close()
    resumed = bench.claims.resume(claim.id)
    assert resumed is not None
    return resumed


def test_a_core_that_has_ended_the_daemon_repeatedly_is_recorded_without_analysis(bench: Bench) -> None:
    claim = bench.claim()
    for _ in range(3):
        claim = die_while_processing(bench, claim)

    recorded = bench.process(claim)

    assert recorded.extraction.ended is ExtractionOutcome.FAILED
    reasons = recorded.diagnosis.reasons
    assert any("the daemon has ended 3 times while it worked on this core" in reason for reason in reasons)
    assert recorded.core.state is CoreState.KEPT


def test_a_crash_is_recorded_while_gdb_cannot_start_and_its_core_kept(bench: Bench) -> None:
    bench.extractor.error = GdbCannotStart("no libpython", "install it")

    recorded = bench.process(bench.claim())

    assert (recorded.extraction.awaits_gdb, recorded.core.state) == (True, CoreState.KEPT)
    assert (recorded.signature, recorded.site, recorded.lacking_symbols) == (None, None, None)
    assert recorded.diagnosis.reasons == ("gdb cannot start: no libpython",)
    assert recorded.diagnosis.advice[0].startswith("Make gdb work: install it.")
    assert bench.announced


def test_a_core_in_a_loop_that_awaits_gdb_is_kept(bench: Bench) -> None:
    bench.extractor.error = GdbCannotStart("no libpython", "install it")

    recorded = [bench.process(bench.claim(process(number))) for number in range(1, 5)]

    assert {each.core.state for each in recorded} == {CoreState.KEPT}
    assert list(bench.loops.current) == []


@pytest.mark.parametrize("action", [CoreAction.LEAVE, CoreAction.DELETE])
def test_a_core_that_would_not_be_kept_stays_claimed_while_gdb_cannot_start(bench: Bench, action: CoreAction) -> None:
    bench.action, bench.extractor.error = action, GdbCannotStart("no libpython", "install it")
    claim = bench.claim()

    with pytest.raises(GdbCannotStart):
        bench.process(claim)
    bench.extractor.error = None

    assert bench.process(claim).extraction.ended is ExtractionOutcome.OK


def test_attempts_that_fail_without_ending_the_daemon_are_not_counted(bench: Bench, fail: Fail) -> None:
    claim = fail(AstbtdError("gdb is not installed"))
    for _ in range(4):
        with pytest.raises(AstbtdError):
            bench.process(claim)
    bench.extractor.error = None

    assert bench.process(claim).extraction.ended is ExtractionOutcome.OK


def test_a_packed_core_whose_unpacking_has_ended_the_daemon_repeatedly_is_not_collected(bench: Bench) -> None:
    (bench.directory / "core.gz").write_bytes(COMPRESS["gz"](DeadProcess().core()))
    found = examine(str(bench.directory), "core.gz", None)
    assert isinstance(found, Candidate)
    claim = bench.claims.claim_core(found, DiscoveredBy.EVENT, copy=True)
    for _ in range(3):
        claim_file.begin_attempt(claim.lock)

    with pytest.raises(NotUnpacked, match="ended 3 times"):
        bench.pipeline.process(claim)

    assert bench.store.collected.among({found.facts.identity}) == {found.facts.identity}
    assert list(bench.claims.ids()) == []


def test_an_internal_error_in_the_report_costs_only_the_report(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise KeyError("no such heading")

    monkeypatch.setattr("astbtd.pipeline.crash_report.render", fail)

    recorded = bench.process(bench.claim())

    report = (bench.store.directory(recorded.id) / "report.txt").read_text()
    assert "internal error while writing this report: KeyError: 'no such heading'" in report
    assert (recorded.diagnosis.crash_function, recorded.core.state) == ("ast_bridge_join", CoreState.KEPT)


def test_a_crash_is_recorded_after_repeated_internal_errors_even_if_its_diagnosis_and_its_report_fail(
    bench: Bench, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diagnose_nothing(text: str, evidence: Evidence) -> Diagnosis:
        if evidence.signal:
            raise ZeroDivisionError
        return diagnose(text, evidence)

    def fail_to_render(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("astbtd.pipeline.analysis.diagnose", diagnose_nothing)
    monkeypatch.setattr("astbtd.pipeline.crash_report.render", fail_to_render)
    claim = fail(ValueError("wrong index"))
    for _ in range(2):
        with pytest.raises(ValueError, match="wrong index"):
            bench.process(claim)

    recorded = bench.process(claim)

    assert recorded.extraction.ended is ExtractionOutcome.FAILED
    assert not list(bench.store.incoming.glob("*.claim"))


def test_a_crash_is_announced_once_even_if_its_record_cannot_be_updated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = bench.claim()

    def fail_to_change(*_: object) -> Crash:
        raise NoRoom("cannot change the record: no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "change", fail_to_change)
        for _ in range(3):
            with pytest.raises(NoRoom):
                bench.process(claim)

    recorded = bench.process(claim)

    assert [announced.id for announced in bench.announced] == [recorded.id]
    assert recorded.announced_at is not None


def test_the_core_of_a_crash_without_analysis_is_kept(bench: Bench, fail: Fail) -> None:
    claim = fail(ValueError("wrong index"))
    for _ in range(2):
        with pytest.raises(ValueError, match="wrong index"):
            bench.process(claim)

    recorded = bench.process(claim)

    assert recorded.core.state is CoreState.KEPT
    verify_core(bench.store.kept_core(recorded.id), lambda _: None)
    assert os.listdir(bench.directory) == []
    assert sorted(os.listdir(bench.store.incoming)) == ["changes", "new"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), AstbtdError("gdb is not installed")])
def test_other_failures_are_retried_without_limit(bench: Bench, fail: Fail, error: Exception) -> None:
    claim = fail(error)

    for _ in range(5):
        with pytest.raises(AstbtdError):
            bench.process(claim)

    assert bench.store.ids() == []


def test_the_record_and_the_report_say_what_has_become_of_asterisk(bench: Bench) -> None:
    crash = bench.process(bench.claim())

    assert (crash.pbx, crash.upgrade) == (PBX, BEFORE.upgrade)
    assert "\nRunning:   yes" in (bench.store.directory(crash.id) / REPORT_FILE).read_text()
    assert (bench.store.directory(crash.id) / LOG_FILE).read_text() == BEFORE.log


def test_what_happened_before_the_crash_is_read_once_while_gdb_runs(bench: Bench) -> None:
    bench.process(bench.claim())

    expected = ["gdb was started", "the log was read", "gdb has ended", "the PBX was observed"]
    assert bench.extractor.events == expected


def test_a_crash_that_is_only_counted_is_not_observed(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.process(bench.claim(process(number)))

    assert len(bench.observed) == 2
