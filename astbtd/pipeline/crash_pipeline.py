"""The stages of one crash, top to bottom: extracted, diagnosed, committed, announced, kept."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from astbtd.claims.claim import AlreadyClaimed, Claim, ClaimRecord, Claims
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.private_copy import NotUnpacked
from astbtd.errors import AstbtdError
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import files, sparse
from astbtd.model.crash import LOG_FILE, RECORD_FILE, CoreAction, CoreFacts, CoreState, Crash, DiscoveredBy
from astbtd.model.surroundings import NOTHING_BEFORE, UNKNOWN
from astbtd.pipeline.analysis import CoreAnalyzer, UnexaminedAnalyzer
from astbtd.pipeline.crash_record import first_of_signature, make_record, origin
from astbtd.pipeline.crash_report import write_report
from astbtd.pipeline.known_deaths import find_copy, remove_replaced, take_over
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.pbx_state import Observe, ReadBefore
from astbtd.pipeline.postponed_extraction import PostponedExtractions, extract_postponed
from astbtd.pipeline.reextraction import Reextraction
from astbtd.pipeline.removed_core import record_core_state
from astbtd.pipeline.resigning import Resigning
from astbtd.sources.collectors.collector import CollectorMetadata, InconsistentMetadata, merge_metadata
from astbtd.store.core_archive import Progress, compress_core
from astbtd.store.foreign_crashes import ForeignCrashes
from astbtd.store.id_lookup import find_replacing
from astbtd.store.occurrence import assign_occurrence, postpone_numbering
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import DamagedRecord, Store

_MAX_INTERNAL_ERRORS = 3
"""How many attempts are made at a core that makes our own code fail, or that ends the daemon."""

KeepObjects = Callable[[Claim, Crash], None]
"""Keeps the program and the modules of a crash of which the core will be kept."""

AnnounceCrash = Callable[[Claim, Crash, Path], None]
"""Announces a crash; the path is the directory of its files. Raises AstbtdError if that is not possible now."""

CollectMetadata = Callable[[ClaimRecord], CollectorMetadata | None]
"""Returns metadata about a claimed core from outside its file, such as the collector's journal entry."""


@dataclass(frozen=True)
class CrashPipeline:
    """The stages and what they need.

    `action`: what to do with a recorded core. `progress` is called while a core is compressed; it may raise to stop.
    """

    store: Store
    claims: Claims
    reserve: DiskReserve
    extractor: Extractor
    loops: CrashLoops
    action: CoreAction
    announce: AnnounceCrash
    progress: Progress
    collect_metadata: CollectMetadata = lambda _: None
    read_before: ReadBefore = lambda _: NOTHING_BEFORE
    observe: Observe = lambda *_: UNKNOWN
    keep_objects: KeepObjects = lambda *_: None

    def process(self, claim: Claim) -> Crash | None:
        """Take a claimed core through all stages, resuming where an earlier attempt was interrupted.

        Return None if the crash turns out to be collected already, from another file. Raise NotUnpacked if a packed
        file turns out to contain no core. Raise AstbtdError if a stage cannot be done now: the claim is kept, and the
        call can be repeated. The same holds for an internal error, and for the end of the daemon, but after some
        attempts the crash is recorded without an analysis.
        """
        with self.claims.attempt(claim):
            return self._process(claim)

    def _process(self, claim: Claim) -> Crash | None:
        if not self._secure(claim):
            return None
        with files.wrap_os_error(f"cannot record the crash of {claim.record.path}"):
            crash = self._commit(claim)
            if crash.replaces:
                remove_replaced(self.store, crash)
                self.loops.withdraw(crash.replaces.id)
            self._mark_collected(claim)
            if not crash.foreign and crash.id != next(self.store.newest()):
                postpone_numbering(self.store, crash)
            self.store.update_latest()
            crash = self._announce(claim, crash)
        with files.wrap_os_error(f"cannot keep the core of {crash.id}"):
            return self._dispose_of_core(crash, claim)

    def record_rename(self, rename: CoreRenamed) -> bool:
        """Record the new path of a collected core. Return False if its crash is not recorded yet.

        If this is the file that was claimed and it was to be removed, remove it at its new path.
        """
        if self.claims.exists(rename.crash_id):
            return False
        try:
            crash = self.store.load(rename.crash_id)
        except DamagedRecord:  # the record was removed meanwhile
            return True
        if not os.path.lexists(crash.core.path):
            path = os.path.join(rename.directory, rename.name)
            self.store.change(crash.id, lambda stored: replace(stored, core=replace(stored.core, path=path)))
        if rename.file == crash.core.file and crash.core.state in (CoreState.KEPT, CoreState.REMOVED):
            self.claims.remove_core(rename.directory, rename.name, rename.crash_id, rename.file)
        return True

    def catch_up(self, is_interrupted: Callable[[], bool]) -> bool:
        """Do what was postponed until no core is queued: signatures by changed rules, extractions in full.

        Return False if `is_interrupted` returned True before all was done. The next call continues.
        """
        if not Resigning(self.store, is_interrupted).run():
            return False
        again = Reextraction(self.store, self.extractor, self.reserve, self.progress)
        return extract_postponed(again, is_interrupted)

    def _secure(self, claim: Claim) -> bool:
        """Make all of the core readable. Return False, and give up the claim, if its crash was collected before."""
        try:
            if claim.record.packed and not claim.is_prepared and claim.deaths >= _MAX_INTERNAL_ERRORS:
                self._mark_collected(claim)  # it must not end the next daemon either
                raise NotUnpacked(_deadly(claim))
            self.claims.prepare(claim)
        except (AlreadyClaimed, NotUnpacked) as error:
            self.claims.finish(claim, remove_original=False)
            if isinstance(error, NotUnpacked):
                raise
            return False
        if not self._is_committed(claim) and self._was_collected(claim):
            self._mark_collected(claim)
            self.claims.finish(claim, remove_original=False)
            return False
        return True

    def _was_collected(self, claim: Claim) -> bool:
        """Return whether the crash was recorded from another file; that without a core also once its core was found."""
        facts = claim.record.facts
        if self.store.collected.among({facts.identity}) or find_copy(self.store, facts, foreign=claim.record.foreign):
            return True
        return claim.record.loss is not None and find_replacing(self.store, claim.id) is not None

    def _mark_collected(self, claim: Claim) -> None:
        """Remember the identity of the core, and of the packed file, which is then recognized without unpacking it."""
        identities = set(filter(None, (claim.record.facts.identity, claim.record.packed)))
        for identity in identities - self.store.collected.among(identities):
            self.store.collected.add(identity)

    def _is_committed(self, claim: Claim) -> bool:
        return (self.store.directory(claim.id) / RECORD_FILE).exists()

    def _commit(self, claim: Claim) -> Crash:
        """Return the record of the crash; analyze the core and store the record if that was not done before."""
        if self._is_committed(claim):
            return self.store.load(claim.id)
        if claim.deaths >= _MAX_INTERNAL_ERRORS:
            return self._store_crash(claim, UnexaminedAnalyzer.after_failures(_deadly(claim)))
        try:
            may_postpone = self._will_keep_core(claim) and not claim.record.foreign
            return self._store_crash(claim, CoreAnalyzer(self.store, self.extractor, self.loops, may_postpone))
        except GdbCannotStart as error:
            if not self._will_keep_core(claim):  # then only the claim keeps it
                raise
            return self._store_crash(claim, UnexaminedAnalyzer.without_gdb(error))
        except (AstbtdError, OSError):
            raise
        except Exception as error:  # an internal error, which every further attempt would hit again
            claim.internal_errors += 1
            if claim.internal_errors < _MAX_INTERNAL_ERRORS:
                raise
            reason = f"internal error while analyzing this core: {type(error).__name__}: {error}"
            return self._store_crash(claim, UnexaminedAnalyzer.after_failures(reason))

    def _will_keep_core(self, claim: Claim) -> bool:
        return self.action is CoreAction.MOVE and claim.record.found is not DiscoveredBy.COMMAND

    def _store_crash(self, claim: Claim, analyzer: CoreAnalyzer | UnexaminedAnalyzer) -> Crash:
        staged = self.store.stage(claim.id)
        try:
            crash = self._analyze(claim, staged, analyzer)
            if crash.foreign:
                ForeignCrashes(self.store).add(crash.id)
            if crash.extraction.postponed:
                PostponedExtractions(self.store).add(crash.id)
            self.store.commit(staged, crash)
        finally:
            files.remove_tree(staged)
        return crash

    def _analyze(self, claim: Claim, staged: Path, analyzer: CoreAnalyzer | UnexaminedAnalyzer) -> Crash:
        facts = self._facts(claim)
        read_before = cache(partial(self.read_before, facts))
        result = analyzer.analyze(claim.descriptor, facts, staged, claim.record.loss, read_before)
        signature = first_of_signature(result.diagnosis.signature, facts.crashed_at)
        if signature is not None and not claim.record.foreign:
            signature = assign_occurrence(self.store, signature, claim.id, result.asterisk.version)
        crash = take_over(self.store, make_record(facts, origin(claim.record), result, signature), self.claims)
        if not (crash.foreign or crash.extraction.brief):
            surroundings = self.observe(facts, read_before(), crash.replaces.id if crash.replaces else None)
            crash = replace(crash, pbx=surroundings.pbx, upgrade=surroundings.upgrade)
            if surroundings.log:
                files.write_new(staged / LOG_FILE, surroundings.log.encode(), group=self.store.group)
        write_report(crash, staged, self.store.group)
        return crash

    def _facts(self, claim: Claim) -> CoreFacts:
        """Return the facts of the core, completed by metadata, unless that contradicts them."""
        metadata = self.collect_metadata(claim.record)
        if metadata is None:
            return claim.record.facts
        try:
            return merge_metadata(claim.record.facts, metadata, time.time())
        except InconsistentMetadata:
            return claim.record.facts

    def _announce(self, claim: Claim, crash: Crash) -> Crash:
        if crash.announced_at is not None:
            return crash
        if claim.announced_at is None:
            self.announce(claim, crash, self.store.directory(crash.id))
            claim.announced_at = datetime.now(UTC)  # not again if the record does not accept it now
        announced_at = claim.announced_at
        return self.store.change(crash.id, lambda stored: replace(stored, announced_at=announced_at))

    def _dispose_of_core(self, crash: Crash, claim: Claim) -> Crash:
        """Keep, leave or remove the core as configured, and give up the claim."""
        if crash.core.state is CoreState.CLAIMED:
            state = self._keep_core(crash, claim)
            crash = record_core_state(self.store, crash.id, state)
        self.claims.finish(claim, remove_original=self.action is not CoreAction.LEAVE)
        return crash

    def _keep_core(self, crash: Crash, claim: Claim) -> CoreState:
        """Compress the core into the store if it is to be kept. Return the state that the core will have."""
        by_command = claim.record.found is DiscoveredBy.COMMAND
        if by_command or self.action is CoreAction.LEAVE:
            return CoreState.LEFT
        if self.action is CoreAction.DELETE or crash.extraction.brief:
            return CoreState.LEFT if claim.record.copied else CoreState.REMOVED
        # No core of the PBX is removed for that of a foreign crash.
        reserve = DiskReserve(self.reserve.path, self.reserve.share) if crash.foreign else self.reserve
        reserve.check(sparse.allocated_bytes(claim.descriptor))
        if not crash.foreign:
            self.keep_objects(claim, crash)
        compress_core(claim.descriptor, self.store.kept_core(crash.id), self.progress)
        return CoreState.KEPT


def _deadly(claim: Claim) -> str:
    return f"the daemon has ended {claim.deaths} times while it worked on this core"
