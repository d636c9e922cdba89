"""The way of one capture, top to bottom: sampled, extracted, diagnosed, committed, announced."""

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from astbtd.asterisk import lock_console
from astbtd.backtrace import lock_listing, parser
from astbtd.capture import snapshot
from astbtd.capture.live_process import LiveProcess, opened
from astbtd.capture.snapshot import Snapshot
from astbtd.diagnosis.deadlock import deadlock_report
from astbtd.diagnosis.deadlock.wait_graph import WaitSample, conclude, sight
from astbtd.elf.core_notes import read_facts
from astbtd.extraction.gdb_runner import Extracted, Extractor
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, CoreFacts, Section
from astbtd.model.deadlock_capture import BACKTRACE_FILE, FULL_FILE, LOCKS_FILE, AskedBy, Deadlock, LocksCli, Sample
from astbtd.store.captures import Captures
from astbtd.store.retention.disk_reserve import DiskReserve

_LONGEST_TEXT = 64 << 20
_FIRST_THREAD = b"\nThread "

AnnounceCapture = Callable[[Deadlock, Path], None]
"""Tells people of a capture whose files are in the directory given."""


@dataclass(frozen=True)
class Sampling:
    """How many samples, how many seconds apart, and how long Asterisk's console may take to answer."""

    samples: int
    interval: float
    patience: float


@dataclass(frozen=True)
class _Taken:
    """A sample while it is open: the core, how taking it went, and what `core show locks` printed right after it.

    `rested` are the threads that had not run in the second half of the interval before.
    """

    core: int
    rested: frozenset[int] | None
    snapshot: Snapshot
    locks_cli: LocksCli
    locks: str

    def sample(self) -> Sample:
        how = self.snapshot
        return Sample(how.at, how.stopped_seconds, how.threads, how.bytes_later, how.not_stopped, self.locks_cli)


@dataclass(frozen=True)
class CapturePipeline:
    """What the stages need. `keep` is how many captures stay; `waiting` lets the seconds between samples pass."""

    captures: Captures
    reserve: DiskReserve
    extractor: Extractor
    console: Path
    keep: int
    announce: AnnounceCapture
    waiting: Callable[[float], None]

    def run(self, pid: int, sampling: Sampling, asked_by: AskedBy) -> tuple[Deadlock, Path]:
        """Captures a process and returns the record and its directory. Raises AstbtdError."""
        self.captures.prepare()
        with self.captures.lock(), files.said_plainly(f"cannot capture process {pid}"):
            taken = self._taken(pid, sampling)
            try:
                record, staged = self._examined(taken, asked_by)
            finally:
                for one in taken:
                    os.close(one.core)
            directory = self.captures.commit(staged, record, self.keep)
        self.announce(record, directory)
        return record, directory

    def _taken(self, pid: int, sampling: Sampling) -> list[_Taken]:
        taken: list[_Taken] = []
        with opened(pid) as process:
            for number in range(sampling.samples):
                rested = self._rested(process, sampling.interval) if number else None
                taken.append(self._sample(process, rested, sampling.patience))
        return taken

    def _rested(self, process: LiveProcess, interval: float) -> frozenset[int]:
        """Lets the interval pass, and returns the threads that did not run in its second half."""
        self.waiting(interval / 2)
        before = process.switches()
        self.waiting(interval / 2)
        return frozenset(tid for tid, count in process.switches().items() if before.get(tid) == count)

    def _sample(self, process: LiveProcess, rested: frozenset[int] | None, patience: float) -> _Taken:
        gdb = self.extractor.account
        core = self.captures.core(gdb.gid if gdb.switched else -1)
        how = snapshot.take(process, core, self.reserve.check)
        return _Taken(core, rested, how, *lock_console.listed(self.console, process.pid, patience))

    def _examined(self, taken: Sequence[_Taken], asked_by: AskedBy) -> tuple[Deadlock, Path]:
        first = taken[0]
        facts = _facts(first.core, first.snapshot.at)
        staged = self.captures.stage(facts.crash_id)
        extracted, sightings = [], []
        for number, one in enumerate(taken, 1):
            result, sighting = self._extracted(one, facts, staged, number)
            extracted.append(result)
            sightings.append(sighting)
        conclusion = conclude(sightings)
        record = Deadlock(
            id=facts.crash_id,
            host=platform.node(),
            captured_at=first.snapshot.at,
            asked_by=asked_by,
            process=facts.process,
            asterisk=extracted[0].asterisk,
            samples=tuple(one.sample() for one in taken),
            locks_cli=taken[-1].locks_cli,
            wait_for=conclusion.waits,
            finding=conclusion.finding,
            cycle=conclusion.cycle,
            summary=conclusion.summary,
        )
        self._write(staged / REPORT_FILE, deadlock_report.render(record, conclusion.others).encode(errors="replace"))
        return record, staged

    def _extracted(self, one: _Taken, facts: CoreFacts, staged: Path, number: int) -> tuple[Extracted, WaitSample]:
        """Runs gdb on one sample, and keeps of its sections what is asked for of a process that hangs."""
        work = self.captures.stage(f"{facts.crash_id}.sample")
        extracted = self.extractor.extract(one.core, facts, work)
        threads = _threads(work / Section.BRIEF)
        self._write(staged / numbered(BACKTRACE_FILE, number), threads)
        self._write(staged / numbered(FULL_FILE, number), _threads(work / Section.FULL))
        self._write(staged / numbered(LOCKS_FILE, number), one.locks.encode(errors="replace"))
        files.remove_tree(work)
        listing = lock_listing.parse(one.locks)
        text = threads[:_LONGEST_TEXT].decode(errors="replace")
        unseen = one.snapshot.not_stopped
        return extracted, sight(parser.parse(text), extracted.states, listing, unseen, one.rested)

    def _write(self, path: Path, content: bytes) -> None:
        files.write_new(path, content, group=self.captures.group)


def numbered(name: str, number: int) -> str:
    """The name of a file of the `number`-th sample: the first has the plain name."""
    stem, _, suffix = name.rpartition(".")
    return name if number == 1 else f"{stem}-{number}.{suffix}"


def _threads(path: Path) -> bytes:
    """The threads in a section that begins with what gdb says of the signal, which a process that lives on has not."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    start = content.find(_FIRST_THREAD)
    return content[start + 1 :] if start >= 0 else content


def _facts(core: int, at: datetime) -> CoreFacts:
    """The facts of a snapshot, with an identity of its own: a process may be captured twice within a second."""
    facts = read_facts(core)
    identity = hashlib.sha256(f"{facts.identity} {at.isoformat()}".encode()).hexdigest()[:32]
    return replace(facts, crashed_at=at, identity=identity)
