"""The way of one core, top to bottom: extracted, diagnosed, committed, announced, kept."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from astbtd.claims.claim import AlreadyClaimed, Claim, ClaimRecord, Claims
from astbtd.claims.finder import RenamedCore
from astbtd.claims.unpack import NotUnpacked
from astbtd.errors import AstbtdError
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files, sparse
from astbtd.model.crash import (
    RECORD_FILE,
    Core,
    CoreAction,
    CoreFacts,
    CoreState,
    Crash,
    CrashSignature,
    DiscoveredBy,
    Source,
)
from astbtd.pipeline.analysis import AnalysisResult, CoreAnalyzer, FailedAnalyzer, write_report
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.sources.collectors.collector import CollectorMetadata, InconsistentMetadata, attested
from astbtd.store.core_archive import Progress, keep
from astbtd.store.occurrence import place_in_signature, postpone_numbering
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import DamagedRecord, Store

_MOST_MISTAKES = 3
"""How often a core is examined that makes our own code fail."""

Announce = Callable[[Claim, Crash, Path], None]
"""Tells people of a crash whose files are in the directory given."""

Hear = Callable[[ClaimRecord], CollectorMetadata | None]
"""What others than the core's file tell of a claimed core."""


@dataclass(frozen=True)
class CrashPipeline:
    """What the stages need; `progress` is told how much of a core is kept, and may raise to stop.

    `hear` asks for what is known of a collected core besides.
    """

    store: Store
    claims: Claims
    reserve: DiskReserve
    extractor: Extractor
    loops: CrashLoops
    action: CoreAction
    announce: Announce
    progress: Progress
    hear: Hear = lambda _: None

    def process(self, claim: Claim) -> Crash | None:
        """Takes a claimed core through all stages, from wherever an earlier attempt was interrupted.

        None where it turns out that the crash was collected from elsewhere. Raises NotUnpacked where it turns out that
        there is no core; AstbtdError where a stage cannot be done now: the claim then stands, and the call can be
        repeated. So it is after a mistake of our own, but not for ever: then the crash is recorded unexamined.
        """
        if not self._secured(claim):
            return None
        with files.said_plainly(f"cannot record the crash of {claim.note.path}"):
            crash = self._committed(claim)
            self._mark_seen(claim)
            if crash.id != next(self.store.newest()):
                postpone_numbering(self.store, crash)
            self.store.point_latest()
            crash = self._announced(claim, crash)
        with files.said_plainly(f"cannot keep the core of {crash.id}"):
            return self._settled(crash, claim)

    def follow(self, move: RenamedCore) -> bool:
        """Records where the core of a collected crash was moved; False while the crash is in work.

        What was to be removed where it was found is removed where it went, if it is the very same file.
        """
        if move.crash_id in self.claims.noted():
            return False
        try:
            crash = self.store.load(move.crash_id)
        except DamagedRecord:  # forgotten since
            return True
        if not os.path.lexists(crash.core.path):
            path = os.path.join(move.directory, move.name)
            self.store.change(crash.id, lambda stored: replace(stored, core=replace(stored.core, path=path)))
        if move.file is not None and crash.core.state in (CoreState.KEPT, CoreState.REMOVED):
            self.claims.remove(move.directory, move.name, move.crash_id, move.file)
        return True

    def _secured(self, claim: Claim) -> bool:
        """Whether the core is ours to process, now that all of it can be read."""
        try:
            self.claims.secure(claim)
        except (AlreadyClaimed, NotUnpacked) as error:
            self.claims.finish(claim, remove_original=False)
            if isinstance(error, NotUnpacked):
                raise
            return False
        if self.store.seen_among({claim.note.facts.identity}) and not self._is_committed(claim):
            self._mark_seen(claim)
            self.claims.finish(claim, remove_original=False)
            return False
        return True

    def _mark_seen(self, claim: Claim) -> None:
        """A packed core is known by the file it is packed in as well: nobody wants to unpack it again to know it."""
        identities = set(filter(None, (claim.note.facts.identity, claim.note.packed)))
        for identity in identities - self.store.seen_among(identities):
            self.store.mark_seen(identity)

    def _is_committed(self, claim: Claim) -> bool:
        return (self.store.directory(claim.id) / RECORD_FILE).exists()

    def _committed(self, claim: Claim) -> Crash:
        if self._is_committed(claim):
            return self.store.load(claim.id)
        try:
            return self._made(claim, self._examiner)
        except (AstbtdError, OSError):
            raise
        except Exception as error:  # a mistake of ours, which would be made again and again
            claim.mistakes += 1
            if claim.mistakes < _MOST_MISTAKES:
                raise
            return self._made(claim, FailedAnalyzer(f"{type(error).__name__}: {error}"))

    def _made(self, claim: Claim, examiner: CoreAnalyzer | FailedAnalyzer) -> Crash:
        staged = self.store.stage(claim.id)
        try:
            crash = self._examined(claim, staged, examiner)
            self.store.commit(staged, crash)
        finally:
            files.remove_tree(staged)
        return crash

    def _examined(self, claim: Claim, staged: Path, examiner: CoreAnalyzer | FailedAnalyzer) -> Crash:
        facts = self._facts(claim)
        examined = examiner.examined(claim.descriptor, facts, staged, claim.note.loss)
        found = examined.diagnosis.signature
        first = CrashSignature(found.id, found.text, 1, facts.crashed_at)
        signature = place_in_signature(self.store, first, claim.id, examined.asterisk.version)
        crash = make_record(facts, origin(claim.note), examined, signature)
        write_report(crash, staged, self.store.group)
        return crash

    @property
    def _examiner(self) -> CoreAnalyzer:
        return CoreAnalyzer(self.store, self.extractor, self.loops)

    def _facts(self, claim: Claim) -> CoreFacts:
        told = self.hear(claim.note)
        try:
            return attested(claim.note.facts, told, time.time()) if told else claim.note.facts
        except InconsistentMetadata:
            return claim.note.facts

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
        by_command = claim.note.found is DiscoveredBy.COMMAND
        if by_command or self.action is CoreAction.LEAVE:
            return CoreState.LEFT
        if self.action is CoreAction.DELETE or crash.extraction.brief:
            return CoreState.LEFT if claim.note.copied else CoreState.REMOVED
        self.reserve.check(sparse.allocated(claim.descriptor))
        keep(claim.descriptor, self.store.kept_core(crash.id), self.progress)
        return CoreState.KEPT


@dataclass(frozen=True)
class CoreOrigin:
    """Where a core comes from, and what has become of it by the time that its crash is recorded."""

    path: str
    source: Source
    found: DiscoveredBy
    state: CoreState = CoreState.CLAIMED


def origin(note: ClaimRecord) -> CoreOrigin:
    """The origin of a claimed core."""
    return CoreOrigin(note.path, note.source, note.found, CoreState.LOST if note.loss else CoreState.CLAIMED)


def make_record(facts: CoreFacts, origin: CoreOrigin, examined: AnalysisResult, signature: CrashSignature) -> Crash:
    """The record of a crash that was just examined."""
    core = Core(
        identity=facts.identity,
        identity_from=facts.identity_from,
        path=origin.path,
        size=facts.size,
        state=origin.state,
        truncated=facts.truncated,
        source=origin.source,
        found=origin.found,
        site=facts.site,
    )
    return Crash(
        id=facts.crash_id,
        host=platform.node(),
        boot_id=_boot_id(facts.crashed_at),
        crashed_at=facts.crashed_at,
        collected_at=datetime.now(UTC),
        core=core,
        process=facts.process,
        asterisk=examined.asterisk,
        signal=facts.signal,
        extraction=examined.extraction,
        diagnosis=examined.diagnosis,
        signature=signature,
    )


def _boot_id(moment: datetime) -> str | None:
    """The id of this boot, if `moment` lies in it."""
    try:
        statistics = Path("/proc/stat").read_text()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    except OSError:
        return None
    booted = next((int(line.split()[1]) for line in statistics.splitlines() if line.startswith("btime ")), None)
    return boot_id if booted is not None and moment.timestamp() >= booted else None
