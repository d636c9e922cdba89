"""The stages of one capture, top to bottom: sampled, extracted, diagnosed, committed, announced."""

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from astbtd.asterisk import console
from astbtd.backtrace import lock_listing, parser
from astbtd.capture import snapshot
from astbtd.capture.live_process import LiveProcess, open_process
from astbtd.capture.snapshot import Snapshot
from astbtd.diagnosis.deadlock import deadlock_report
from astbtd.diagnosis.deadlock.wait_graph import WaitSample, analyze_samples, build_sample
from astbtd.elf.core_notes import read_facts
from astbtd.extraction.extracted_core import NO_EXTRACTION, ExtractionResult, opened_before
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, CoreFacts, Section
from astbtd.model.deadlock_capture import (
    BACKTRACE_FILE,
    FULL_FILE,
    LOCKS_FILE,
    AskedBy,
    Deadlock,
    LocksCli,
    Sample,
    sample_file,
)
from astbtd.store.captures import Captures
from astbtd.store.retention.disk_reserve import DiskReserve

_MAX_TEXT = 64 << 20  # bytes
_FIRST_THREAD_MARKER = b"\nThread "

AnnounceCapture = Callable[[Deadlock, Path], None]
"""Announces a capture; the path is the directory of its files."""


@dataclass(frozen=True)
class Sampling:
    """How to sample a process: times in seconds; `console_timeout` limits the wait for Asterisk's console."""

    samples: int
    interval: float
    console_timeout: float


@dataclass(frozen=True)
class _OpenSample:
    """A sample while it is open: the core, data about the snapshot, and the output of `core show locks` after it.

    `inactive` are the threads that did not run in the second half of the interval before.
    """

    core: int
    inactive: frozenset[int] | None
    snapshot: Snapshot
    locks_cli: LocksCli
    locks: str

    def to_record(self) -> Sample:
        taken = self.snapshot
        return Sample(
            taken.at, taken.stopped_seconds, taken.threads, taken.bytes_later, taken.not_stopped, self.locks_cli
        )


@dataclass(frozen=True)
class CapturePipeline:
    """The stages and what they need.

    `console` is the control socket of Asterisk, `keep` the number of captures to keep. `sleep` waits between samples.
    """

    captures: Captures
    reserve: DiskReserve
    extractor: Extractor
    console: Path
    keep: int
    announce: AnnounceCapture
    sleep: Callable[[float], None]

    def run(self, pid: int, sampling: Sampling, asked_by: AskedBy) -> tuple[Deadlock, Path]:
        """Capture a process and return the record and its directory. Raises AstbtdError."""
        self.captures.prepare()
        with self.captures.lock(), files.wrap_os_error(f"cannot capture process {pid}"):
            samples = self._take_samples(pid, sampling)
            try:
                record, staged = self._analyze(samples, asked_by)
            finally:
                for sample in samples:
                    os.close(sample.core)
            directory = self.captures.commit(staged, record, self.keep)
        self.announce(record, directory)
        return record, directory

    def _take_samples(self, pid: int, sampling: Sampling) -> list[_OpenSample]:
        samples: list[_OpenSample] = []
        with open_process(pid) as process:
            for number in range(sampling.samples):
                inactive = self._find_inactive_threads(process, sampling.interval) if number else None
                samples.append(self._take_sample(process, inactive, sampling.console_timeout))
        return samples

    def _find_inactive_threads(self, process: LiveProcess, interval: float) -> frozenset[int]:
        """Wait for the interval, and return the threads that did not run in its second half."""
        self.sleep(interval / 2)
        before = process.context_switches()
        self.sleep(interval / 2)
        return frozenset(tid for tid, count in process.context_switches().items() if before.get(tid) == count)

    def _take_sample(
        self, process: LiveProcess, inactive: frozenset[int] | None, console_timeout: float
    ) -> _OpenSample:
        gdb = self.extractor.user
        core = self.captures.create_core_file(gdb.gid if gdb.switched else -1)
        taken = snapshot.take_snapshot(process, core, self.reserve.check)
        locks_cli, locks = console.list_locks(self.console, process.pid, console_timeout)
        return _OpenSample(core, inactive, taken, locks_cli, locks)

    def _analyze(self, samples: Sequence[_OpenSample], asked_by: AskedBy) -> tuple[Deadlock, Path]:
        first = samples[0]
        facts = _read_facts(first.core, first.snapshot.at)
        staged = self.captures.stage(facts.crash_id)
        extracted, wait_samples = [], []
        for number, sample in enumerate(samples, 1):
            result, wait_sample = self._extract(sample, facts, staged, number)
            extracted.append(result)
            wait_samples.append(wait_sample)
        conclusion = analyze_samples(wait_samples)
        record = Deadlock(
            id=facts.crash_id,
            host=platform.node(),
            captured_at=first.snapshot.at,
            asked_by=asked_by,
            process=facts.process,
            asterisk=extracted[0].asterisk,
            samples=tuple(sample.to_record() for sample in samples),
            locks_cli=samples[-1].locks_cli,
            wait_for=conclusion.waits,
            finding=conclusion.finding,
            cycle=conclusion.cycle,
            summary="; ".join((conclusion.summary, *_gdb_failure(extracted[0]))),
        )
        self._write(staged / REPORT_FILE, deadlock_report.render(record, conclusion.others).encode(errors="replace"))
        return record, staged

    def _extract(
        self, sample: _OpenSample, facts: CoreFacts, staged: Path, number: int
    ) -> tuple[ExtractionResult, WaitSample]:
        """Run gdb on one sample, and keep the sections that the Asterisk documentation asks for in case of a hang."""
        work = self.captures.stage(f"{facts.crash_id}.sample")
        extracted = self._run_gdb(sample.core, facts, work)
        threads = _read_threads(work / Section.BRIEF)
        self._write(staged / sample_file(BACKTRACE_FILE, number), threads)
        self._write(staged / sample_file(FULL_FILE, number), _read_threads(work / Section.FULL))
        self._write(staged / sample_file(LOCKS_FILE, number), sample.locks.encode(errors="replace"))
        listing = lock_listing.parse(_read_text(work / Section.LOCKS))
        files.remove_tree(work)
        # Asterisk's own list in the snapshot is of the moment of the snapshot, unlike the answer of the console.
        consistent = bool(listing.names) and sample.snapshot.bytes_later == 0
        if not consistent:
            listing = lock_listing.parse(sample.locks)
        text = threads[:_MAX_TEXT].decode(errors="replace")
        wait_sample = build_sample(
            parser.parse(text),
            extracted.thread_states,
            listing,
            sample.snapshot.not_stopped,
            sample.inactive,
            consistent=consistent,
        )
        return extracted, wait_sample

    def _run_gdb(self, core: int, facts: CoreFacts, work: Path) -> ExtractionResult:
        """Run gdb. If it cannot start, what Asterisk's console has answered is kept nevertheless; a note says why."""
        try:
            return self.extractor.extract(opened_before(core, facts), work)
        except GdbCannotStart as error:
            nothing = replace(NO_EXTRACTION.extraction, notes=(error.message,), awaits_gdb=True)
            return replace(NO_EXTRACTION, extraction=nothing)

    def _write(self, path: Path, content: bytes) -> None:
        files.write_new(path, content, group=self.captures.group)


def _gdb_failure(extracted: ExtractionResult) -> tuple[str, ...]:
    return extracted.extraction.notes if extracted.extraction.awaits_gdb else ()


def _read_threads(path: Path) -> bytes:
    """Read a section without the lines before the first thread: they are about a signal, which a live process lacks."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    start = content.find(_FIRST_THREAD_MARKER)
    return content[start + 1 :] if start >= 0 else content


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes()[:_MAX_TEXT].decode(errors="replace")
    except FileNotFoundError:
        return ""


def _read_facts(core: int, at: datetime) -> CoreFacts:
    """Read the facts of a snapshot. Each gets an identity of its own: a process may be captured twice in a second."""
    facts = read_facts(core)
    identity = hashlib.sha256(f"{facts.identity} {at.isoformat()}".encode()).hexdigest()[:32]
    return replace(facts, crashed_at=at, identity=identity)
