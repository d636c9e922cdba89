"""The stages of a capture, with a real process and store. Snapshot, gdb and Asterisk's console are replaced."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from astbtd.asterisk import console
from astbtd.capture import snapshot
from astbtd.capture.snapshot import Snapshot
from astbtd.errors import AstbtdError
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult, OpenForGdb
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.model.crash import REPORT_FILE, Section
from astbtd.model.deadlock_capture import AskedBy, Deadlock, LocksCli, sample_file
from astbtd.pipeline.capture_pipeline import CapturePipeline, Sampling
from astbtd.store.captures import Captures
from astbtd.store.retention.disk_reserve import DiskReserve
from tests.support.builders import NOON, DeadProcess

SECTION = "warning: no signal\n\nThread 1 (LWP 4243):\n#0  0x1 in main () at asterisk.c:1\n"


@dataclass
class FakeExtractor:
    """Writes the same two sections for every sample."""

    user: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(gid=-1, switched=False))
    error: Exception | None = None

    def extract(self, _: OpenForGdb, directory: Path) -> ExtractionResult:
        if self.error:
            raise self.error
        (directory / Section.BRIEF).write_text(SECTION)
        return NO_EXTRACTION


@dataclass
class Bench:
    """A pipeline and what it did."""

    captures: Captures
    directory: Path
    extractor: FakeExtractor = field(default_factory=FakeExtractor)
    announced: list[Path] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    cores: list[int] = field(default_factory=list)

    def run(self, pid: int, samples: int, keep: int = 5) -> tuple[Deadlock, Path]:
        pipeline = CapturePipeline(
            captures=self.captures,
            reserve=DiskReserve(self.directory, 0.0),
            extractor=cast(Extractor, self.extractor),
            console=self.directory / "asterisk.ctl",
            keep=keep,
            announce=lambda _, directory: self.announced.append(directory),
            sleep=self.slept.append,
        )
        return pipeline.run(pid, Sampling(samples, 1.0, 1.0), AskedBy.COMMAND)


@pytest.fixture
def pid() -> Iterator[int]:
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(Captures(tmp_path / "store", -1), tmp_path)
    (tmp_path / "store").mkdir()

    def take_snapshot(_process: object, core: int, _reserve: object) -> Snapshot:
        bench.cores.append(core)
        os.write(core, DeadProcess().core())
        return Snapshot(NOON + timedelta(milliseconds=len(bench.cores)), 0.03, 2, 0, ())

    monkeypatch.setattr(snapshot, "take_snapshot", take_snapshot)
    monkeypatch.setattr(console, "list_locks", lambda *_: (LocksCli.OK, "0 locks held\n"))
    return bench


def test_a_capture_is_stored_and_announced(bench: Bench, pid: int) -> None:
    record, directory = bench.run(pid, samples=1)

    assert bench.captures.load(record.id) == record
    assert bench.announced == [directory]
    assert (record.asked_by, len(record.samples), bench.slept) == (AskedBy.COMMAND, 1, [])
    assert (directory / REPORT_FILE).exists()


def test_each_sample_has_files_without_what_precedes_the_first_thread(bench: Bench, pid: int) -> None:
    record, directory = bench.run(pid, samples=2)

    assert len(record.samples) == 2
    assert bench.slept == [0.5, 0.5]
    for name in ("backtrace-threads.txt", "backtrace-threads-2.txt"):
        assert (directory / name).read_text().startswith("Thread 1")
    assert (directory / "backtrace-threads-full.txt").read_text() == ""
    assert (directory / "core-show-locks-2.txt").read_text() == "0 locks held\n"


def test_cores_are_closed_and_nothing_is_stored_if_the_extraction_fails(bench: Bench, pid: int) -> None:
    bench.extractor.error = OSError(28, "No space left on device")

    with pytest.raises(AstbtdError, match=f"cannot capture process {pid}: No space left on device"):
        bench.run(pid, samples=2)

    assert bench.captures.ids() == []
    for core in bench.cores:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(core)


def test_if_gdb_cannot_start_the_answer_of_the_console_is_kept_and_the_summary_says_why(bench: Bench, pid: int) -> None:
    bench.extractor.error = GdbCannotStart("no libpython", "install it")

    record, directory = bench.run(pid, samples=1)

    assert record.summary.endswith("; gdb cannot start: no libpython")
    assert (directory / "core-show-locks.txt").read_text() == "0 locks held\n"


def test_only_the_newest_captures_are_kept(bench: Bench, pid: int) -> None:
    first, _ = bench.run(pid, samples=1, keep=1)
    second, _ = bench.run(pid, samples=1, keep=1)

    assert len(bench.captures.ids()) == 1
    assert first.id != second.id


def test_the_files_of_the_first_sample_have_no_number() -> None:
    assert [sample_file("a.txt", number) for number in (1, 2)] == ["a.txt", "a-2.txt"]
