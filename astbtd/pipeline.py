"""The way of one core, top to bottom: extracted, diagnosed, committed, announced, kept."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TextIO

from astbtd import durable, sparse
from astbtd.archive.keep import Progress, keep
from astbtd.archive.occurrence import place_in_signature, renumber_after
from astbtd.archive.reserve import Reserve
from astbtd.archive.store import Store
from astbtd.diagnosis.report import render
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.extraction.gdb import Extracted, Extractor
from astbtd.intake.claim import Claim, Claims
from astbtd.model import (
    RECORD_FILE,
    REPORT_FILE,
    Core,
    CoreAction,
    CoreFacts,
    CoreState,
    Crash,
    CrashSignature,
    Diagnosis,
    Found,
    Section,
    Source,
)

_PIECE = 1 << 16  # characters of a backtrace that are read at a time
_LONGEST_EXCERPT = 1 << 20

Announce = Callable[[Claim, Crash, Path], None]
"""Tells people of a crash whose files are in the directory given."""


@dataclass(frozen=True)
class Pipeline:
    """What the stages need; `progress` is told how much of a core is kept, and may raise to stop."""

    store: Store
    claims: Claims
    reserve: Reserve
    extractor: Extractor
    action: CoreAction
    announce: Announce
    progress: Progress

    def process(self, claim: Claim) -> Crash:
        """Takes a claimed core through all stages, from wherever an earlier attempt was interrupted.

        Raises AstbtdError where a stage cannot be done now: the claim then stands, and the call can be repeated.
        """
        with durable.said_plainly(f"cannot record the crash of {claim.note.path}"):
            crash = self._committed(claim)
            self.store.mark_seen(crash.core.identity)
            renumber_after(self.store, crash)
            self.store.point_latest()
            crash = self._announced(claim, crash)
        with durable.said_plainly(f"cannot keep the core of {crash.id}"):
            return self._settled(crash, claim)

    def _committed(self, claim: Claim) -> Crash:
        if (self.store.directory(claim.id) / RECORD_FILE).exists():
            return self.store.load(claim.id)
        staged = self.store.stage(claim.id)
        try:
            crash = self._examined(claim, staged)
            self.store.commit(staged, crash)
        finally:
            durable.remove_tree(staged)
        return crash

    def _examined(self, claim: Claim, staged: Path) -> Crash:
        facts = claim.note.facts
        extracted, diagnosis = examine(claim.descriptor, facts, staged, self.extractor)
        first = CrashSignature(diagnosis.signature.id, diagnosis.signature.text, 1, facts.crashed_at)
        signature = place_in_signature(self.store, first, claim.id, extracted.asterisk.version)
        crash = make_record(facts, claim.note.path, claim.note.found, extracted, diagnosis, signature)
        write_report(crash, staged, self.store.group)
        return crash

    def _announced(self, claim: Claim, crash: Crash) -> Crash:
        if crash.announced_at is not None:
            return crash
        self.announce(claim, crash, self.store.directory(crash.id))
        return self.store.change(crash.id, lambda stored: replace(stored, announced_at=datetime.now(UTC)))

    def _settled(self, crash: Crash, claim: Claim) -> Crash:
        """Keeps, leaves or removes the core, and gives up the claim."""
        if crash.core.state is CoreState.CLAIMED:
            state = self._disposed(crash, claim)
            removed_at = datetime.now(UTC) if state is CoreState.REMOVED else None
            crash = self.store.change(
                crash.id, lambda stored: replace(stored, core=replace(stored.core, state=state, removed_at=removed_at))
            )
        self.claims.finish(claim, remove_original=self.action is not CoreAction.LEAVE)
        return crash

    def _disposed(self, crash: Crash, claim: Claim) -> CoreState:
        by_command = claim.note.found is Found.COMMAND
        if by_command or self.action is CoreAction.LEAVE:
            return CoreState.LEFT
        if self.action is CoreAction.DELETE:
            return CoreState.LEFT if claim.note.copied else CoreState.REMOVED
        self.reserve.check(sparse.allocated(claim.descriptor))
        keep(claim.descriptor, self.store.kept_core(crash.id), self.progress)
        return CoreState.KEPT


def examine(core: int, facts: CoreFacts, directory: Path, extractor: Extractor) -> tuple[Extracted, Diagnosis]:
    """Extracts the core open at `core` into the empty `directory` and diagnoses what came out."""
    extracted = extractor.extract(core, facts, directory)
    evidence = Evidence(
        signal=facts.signal,
        lwp=facts.process.tid,
        asterisk=extracted.asterisk,
        extraction=extracted.extraction,
        truncated=facts.truncated,
        changed_binary=extracted.objects.changed,
        unreadable=extracted.objects.missing,
        abort_message=extracted.abort_message,
        states=extracted.states,
    )
    with _opened(directory / Section.BACKTRACE) as text:
        return extracted, diagnose(iter(partial(text.read, _PIECE), ""), evidence)


def make_record(
    facts: CoreFacts, path: str, found: Found, extracted: Extracted, diagnosis: Diagnosis, signature: CrashSignature
) -> Crash:
    """The record of a crash that was just examined."""
    core = Core(
        identity=facts.identity,
        identity_from=facts.identity_from,
        path=path,
        size=facts.size,
        state=CoreState.CLAIMED,
        truncated=facts.truncated,
        source=Source.FILE,
        found=found,
    )
    return Crash(
        id=facts.crash_id,
        host=platform.node(),
        boot_id=_boot_id(facts.crashed_at),
        crashed_at=facts.crashed_at,
        collected_at=datetime.now(UTC),
        core=core,
        process=facts.process,
        asterisk=extracted.asterisk,
        signal=facts.signal,
        extraction=extracted.extraction,
        diagnosis=diagnosis,
        signature=signature,
    )


def write_report(crash: Crash, directory: Path, group: int = -1) -> None:
    """Writes report.txt beside the sections."""
    with _opened(directory / Section.THREAD1) as thread:
        report = render(crash, thread.read(_LONGEST_EXCERPT))
    durable.write_new(directory / REPORT_FILE, report.encode(errors="replace"), group=group)


def _opened(path: Path) -> TextIO:
    """A section's text, empty where there is none; only a newline ends a line."""
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return StringIO()


def _boot_id(moment: datetime) -> str | None:
    """The id of this boot, if `moment` lies in it."""
    try:
        statistics = Path("/proc/stat").read_text()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    except OSError:
        return None
    booted = next((int(line.split()[1]) for line in statistics.splitlines() if line.startswith("btime ")), None)
    return boot_id if booted is not None and moment.timestamp() >= booted else None
