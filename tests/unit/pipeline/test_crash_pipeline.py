"""The stages strung together: what becomes of a core at which a stage fails."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.core_filter import Candidate, examine
from astbtd.claims.unpack import Unpacker
from astbtd.errors import AstbtdError
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import CoreAction, CoreState, Crash, DiscoveredBy, ExtractionOutcome, Verdict
from astbtd.pipeline.crash_pipeline import CrashPipeline
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import CrashLoopSettings, UnpackingSettings
from astbtd.store.core_archive import verify
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from tests.support.builders import DeadProcess


@dataclass
class BrokenExtractor:
    """Fails in the same way each time."""

    error: Exception
    attempts: int = 0

    def extract(self, *_: object, **__: object) -> None:
        self.attempts += 1
        raise self.error


@dataclass
class Bench:
    """A store, a claimed core, and the stages with an extractor that fails."""

    store: Store
    claim: Claim
    pipeline: CrashPipeline
    announced: list[Crash]

    def process(self) -> Crash | None:
        return self.pipeline.process(self.claim)


Failing = Callable[[Exception], Bench]


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    """The stages for one core, whose extraction fails with this error."""

    def failing(error: Exception) -> Bench:
        store = Store(tmp_path / "store")
        store.prepare()
        reserve = DiskReserve(tmp_path, 0.0)
        claims = Claims(store.incoming, -1, Unpacker(UnpackingSettings(), reserve.check, lambda: None))
        (tmp_path / "core").write_bytes(DeadProcess().core())
        found = examine(str(tmp_path), "core", None)
        assert isinstance(found, Candidate)
        claim = claims.take(found, DiscoveredBy.EVENT, copy=False)
        extractor = cast(Extractor, BrokenExtractor(error))
        loops = CrashLoops(CrashLoopSettings(), store.incoming / "loops")
        announced: list[Crash] = []
        pipeline = CrashPipeline(
            store,
            claims,
            reserve,
            extractor,
            loops,
            CoreAction.MOVE,
            announce=lambda _, crash, __: announced.append(crash),
            progress=lambda _: None,
        )
        return Bench(store, claim, pipeline, announced)

    return failing


def test_a_core_that_our_own_code_fails_at_is_recorded_unexamined_after_some_attempts(failing: Failing) -> None:
    bench = failing(ValueError("a mistake"))
    for _ in range(2):
        with pytest.raises(ValueError, match="a mistake"):
            bench.process()
        assert bench.store.ids() == []

    recorded = bench.process()

    assert recorded is not None
    assert bench.store.load(recorded.id) == recorded
    assert recorded.extraction.ended is ExtractionOutcome.FAILED
    assert recorded.diagnosis.verdict is Verdict.UNUSABLE
    assert any("ValueError: a mistake" in reason for reason in recorded.diagnosis.reasons)
    assert any("Report the mistake" in advice for advice in recorded.diagnosis.advice)
    assert (recorded.signal, recorded.process.pid) != (None, None)
    assert bench.announced[0].id == recorded.id
    assert os.listdir(bench.store.directory(recorded.id)) != []


def test_the_core_of_a_crash_that_is_recorded_unexamined_is_kept(failing: Failing, tmp_path: Path) -> None:
    bench = failing(ValueError("a mistake"))
    for _ in range(2):
        with pytest.raises(ValueError, match="a mistake"):
            bench.process()

    recorded = bench.process()

    assert recorded is not None
    assert recorded.core.state is CoreState.KEPT
    verify(bench.store.kept_core(recorded.id), lambda _: None)
    assert sorted(os.listdir(tmp_path)) == ["store"]
    assert sorted(os.listdir(bench.store.incoming)) == ["changes", "new"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), AstbtdError("gdb is not installed")])
def test_what_is_no_mistake_of_ours_is_tried_for_as_long_as_it_takes(failing: Failing, error: Exception) -> None:
    bench = failing(error)

    for _ in range(5):
        with pytest.raises(AstbtdError):
            bench.process()

    assert bench.store.ids() == []
