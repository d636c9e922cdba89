"""The jobs of the worker: failures are shown until they are resolved, and a finished claim is never processed again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from astbtd.announce import systemd
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.private_copy import NotUnpacked
from astbtd.daemon.job_handler import CrashJobHandler
from astbtd.daemon.jobs import ProcessClaim, RecordRename, RunMaintenance
from astbtd.daemon.maintenance import Maintenance
from astbtd.daemon.store_statistics import StoreStatistics
from astbtd.errors import AstbtdError, Interrupted
from astbtd.model.crash import Crash
from astbtd.pipeline.crash_pipeline import CrashPipeline
from astbtd.store.store import Store
from tests.support.builders import claim, crash


@dataclass
class FakePipeline:
    """Returns a crash, or raises."""

    crash: Crash | None = field(default_factory=crash)
    error: Exception | None = None
    recorded: bool = True

    def process(self, _: Claim) -> Crash | None:
        if self.error:
            raise self.error
        return self.crash

    caught_up: int = 0

    def record_rename(self, _: CoreRenamed) -> bool:
        return self.recorded

    def catch_up(self, _: Callable[[], bool]) -> bool:
        self.caught_up += 1
        if self.error:
            raise self.error
        return True


@dataclass
class FakeMaintenance:
    """Records calls; recording a crash fails with `error`."""

    error: Exception | None = None
    is_overdue: bool = False
    crashes: list[Crash] = field(default_factory=list)
    runs: list[bool] = field(default_factory=list)
    full_runs: int = 0

    def record_crash(self, crash: Crash) -> None:
        if self.error:
            raise self.error
        self.crashes.append(crash)

    def run(self, *, idle: bool) -> None:
        self.runs.append(idle)

    def mark_full_run(self) -> None:
        self.full_runs += 1


class Bench:
    """A handler with a fake pipeline and a fake maintenance."""

    def __init__(self, store: Store) -> None:
        self.pipeline = FakePipeline()
        self.maintenance = FakeMaintenance()
        self.statistics = StoreStatistics(store)
        self.done: list[str] = []
        self.deaths_checked: list[bool] = []
        self.handler = CrashJobHandler(
            cast(CrashPipeline, self.pipeline),
            cast(Maintenance, self.maintenance),
            self.statistics,
            RateLimitedJournal(),
            check_deaths=lambda: self.deaths_checked.append(True),
            when_idle=[lambda: self.done.append("first"), lambda: self.done.append("second")],
            on_collected=lambda crash: self.done.append(crash.id),
        )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages sent to the journal."""
    messages: list[str] = []
    monkeypatch.setattr(systemd, "send", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory, sent: list[str]) -> Bench:  # noqa: ARG001 - for its effect
    return Bench(Store(tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize("overdue", [False, True])
def test_a_processed_crash_is_counted_and_asks_for_maintenance(bench: Bench, overdue: bool) -> None:
    bench.maintenance.is_overdue = overdue

    processed = bench.handler.process_claim(claim())

    assert bench.maintenance.crashes == [bench.pipeline.crash]
    assert processed.maintenance_is_urgent is overdue


def test_each_crash_is_passed_on_and_the_rest_is_done_only_when_idle(bench: Bench) -> None:
    bench.handler.process_claim(claim())
    bench.handler.run_maintenance(idle=False)
    bench.handler.run_maintenance(idle=True)

    assert bench.done == [crash().id, "first", "second"]


def test_a_step_of_maintenance_that_fails_keeps_no_other_from_being_done(bench: Bench) -> None:
    bench.pipeline.error = ValueError("internal error")

    with pytest.raises(ValueError, match="internal error"):
        bench.handler.run_maintenance(idle=True)

    assert (bench.done, bench.deaths_checked) == (["first", "second"], [True])


def test_when_the_daemon_stops_nothing_further_is_begun(bench: Bench) -> None:
    bench.pipeline.error = Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        bench.handler.run_maintenance(idle=True)

    assert (bench.done, bench.deaths_checked) == ([], [])


def test_a_crash_that_was_collected_before_is_not_counted(bench: Bench) -> None:
    bench.pipeline.crash = None

    bench.handler.process_claim(claim())

    assert bench.maintenance.crashes == []


def test_a_packed_file_that_is_not_a_core_is_logged_and_finished(bench: Bench, sent: list[str]) -> None:
    bench.pipeline.error = NotUnpacked("not a core")

    bench.handler.process_claim(claim())

    assert bench.maintenance.crashes == []
    assert any("not a core" in message for message in sent)


@pytest.mark.parametrize("error", [AstbtdError("the record is damaged"), OSError("input/output error")])
def test_a_failure_to_count_a_crash_does_not_fail_the_claim(bench: Bench, error: Exception) -> None:
    bench.maintenance.error = error

    bench.handler.process_claim(claim())

    assert bench.maintenance.full_runs == 1
    assert str(error) in bench.statistics.failures[0]


def test_a_failure_is_logged_once_and_shown_until_the_claim_is_processed(bench: Bench, sent: list[str]) -> None:
    for _ in range(3):
        bench.handler.report_failure(ProcessClaim(claim()), AstbtdError("gdb is not installed"))
    assert sent == ["gdb is not installed (will be retried)"]
    assert list(bench.statistics.failures) == ["gdb is not installed"]

    bench.handler.process_claim(claim())

    assert list(bench.statistics.failures) == []


@pytest.mark.parametrize("job", [RunMaintenance(idle=True), RecordRename(CoreRenamed("1", "/srv", "core", "f1"))])
def test_failed_maintenance_is_shown_until_it_succeeds_in_full(
    bench: Bench, job: RunMaintenance | RecordRename
) -> None:
    bench.handler.report_failure(job, OSError("no space left"))
    assert (bench.statistics.failures, bench.maintenance.full_runs) == (("retention: OSError: no space left",), 1)

    bench.handler.run_maintenance(idle=False)

    assert (bench.statistics.failures, bench.maintenance.runs) == ((), [False])


@pytest.mark.parametrize("recorded", [False, True])
def test_a_rename_is_recorded_by_the_pipeline(bench: Bench, recorded: bool) -> None:
    bench.pipeline.recorded = recorded

    assert bench.handler.record_rename(CoreRenamed("1", "/srv", "core", "f1")) is recorded
