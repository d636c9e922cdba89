"""Examine files that may be cores, and claim the ones that are to be collected.

The methods are generators: each result is handled by the caller before the next file is examined.
"""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims import core_ownership
from astbtd.claims.claim import PREFIX, AlreadyClaimed, Claim, Claims, Vanished
from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, NotACoreFile, RefusedFile, StillWritten
from astbtd.claims.examinations import ExaminationNotes, Examinations
from astbtd.claims.finder_results import Capacity, CoreClaimed, CoreRenamed, CoreReplaced, FinderResult, report_rename
from astbtd.claims.first_sight import FirstSight
from astbtd.claims.lost_cores import LostClaims, lost_in_private_tmp
from astbtd.claims.orphaned_claims import has_link_of_claim
from astbtd.claims.tracked_files import (
    ClaimedFile,
    ClaimedIdentities,
    CollectedIdentities,
    ExaminedFile,
    Fields,
    FileCache,
    IncompleteCore,
    IncompleteCores,
    ReportedRefusals,
    needs_copy,
    read_status,
)
from astbtd.claims.unclaimed_cores import UnclaimedCores
from astbtd.elf.core_notes import file_identity
from astbtd.model.crash import CRASH_ID, CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory

__all__ = ["Capacity", "CoreClaimed", "CoreFinder", "CoreRenamed", "CoreReplaced", "FinderResult"]

_MAX_CLAIMED_FILES = 2000  # claimed files that are recognized by their inode: twice as many as may be queued


class CoreFinder:
    """Examines the files in watched directories, in one thread.

    `incomplete` are cores that are still being written. `lost` are claims whose core was not found.
    `postponed` is set if a file was not examined because there was no capacity, `postponed_foreign` if it was a file
    of a user who is not the PBX's. `identity` decides whose a core is; `first_sight` remembers searched directories.
    """

    def __init__(
        self,
        claims: Claims,
        collected: CollectedIdentities,
        executables: Collection[str],
        action: CoreAction,
        capacity: Capacity,
        first_sight: FirstSight | None = None,
        notes: ExaminationNotes | None = None,
    ) -> None:
        self.claims = claims
        self.capacity = capacity
        self.first_sight = first_sight or FirstSight()
        self.examinations = Examinations(notes, lambda uid: self.identity.is_known(uid))
        self.identity = PbxIdentity()
        self.postponed = self.postponed_foreign = False
        self.incomplete = IncompleteCores()
        self.lost = LostClaims()
        self._identities = ClaimedIdentities(collected)
        self._unclaimed = UnclaimedCores()
        self._executables = executables
        self._action = action
        self._seen_in_private_tmp: set[str] = set()
        self._examined: FileCache[bool] = FileCache()
        self._claimed_files: FileCache[ClaimedFile] = FileCache(_MAX_CLAIMED_FILES, Fields.CONTENT)
        self._refusals = ReportedRefusals()

    def update_settings(self, claims: Claims, executables: Collection[str], action: CoreAction) -> None:
        """Judge files by new settings from now on. Refused files are not reported again."""
        self.claims = claims
        self._executables = executables
        self._action = action
        self._examined = FileCache()

    def for_another_thread(self, capacity: Capacity) -> "CoreFinder":
        """Return a finder for another thread. If both find the same core, only one of them claims it."""
        settings = self._identities.collected, self._executables, self._action
        finder = CoreFinder(self.claims, *settings, capacity, self.first_sight, self.examinations.notes)
        finder._identities, finder.identity = self._identities, self.identity
        return finder

    def examine_entry(
        self, directory: WatchedDirectory, entry: str, found: DiscoveredBy, *, quiet: bool = False
    ) -> Iterator[FinderResult]:
        """Examine a directory entry, and claim it if it is a complete core of Asterisk that was not collected before.

        Add a core that is still being written to `incomplete`.
        """
        if entry.startswith(PREFIX):
            crash_id = entry.removeprefix(PREFIX)
            if CRASH_ID.fullmatch(crash_id) and self.claims.exists(crash_id):
                yield from self._resume_moved_claim(crash_id, directory.directory)
                return
        names = directory.collector.core_files(directory.directory, entry) if directory.collector else []
        if not names and directory.kernel_writes:
            names, directory = [entry], replace(directory, collector=None)
        for name in names:
            yield from self._examine(ExaminedFile(directory, name, found, quiet))

    def recheck(self, core: IncompleteCore) -> Iterator[FinderResult]:
        """Examine a core of `incomplete` again, and claim it if it is complete now."""
        return self._examine(ExaminedFile(core.directory, core.name, DiscoveredBy.EVENT))

    def resume_claims(self, is_ours: Callable[[str | None], bool]) -> Iterator[CoreClaimed]:
        """Resume the claims that an earlier process left in the directories for which `is_ours` returns True.

        The directory of a claim with a damaged record is None. Claims whose core is missing are added to `lost`.
        """
        self.lost.ids.clear()
        for crash_id in list(self.claims.ids()):
            if not is_ours(self.claims.directory(crash_id)):
                continue
            try:
                claim = self._resume(crash_id, None)
            except AlreadyClaimed:
                continue
            if claim:
                yield CoreClaimed(claim)
            else:
                self.lost.ids.add(crash_id)

    def forget_lost_claims(self) -> None:
        """Remove the records of the claims in `lost`."""
        self.lost.forget(self.claims)

    def claim_lost_cores(self) -> Iterator[CoreClaimed]:
        """Claim the cores of the forgotten claims that no scan has found, so that their loss is recorded.

        Raises AstbtdError if a claim cannot be recorded now: call this again after the next scan.
        """
        yield from map(CoreClaimed, self.lost.claim_cores(self.claims, self._identities.contains_any))

    def claim_replaced_cores(self) -> Iterator[FinderResult]:
        """Report, and claim as lost, the cores that could not be claimed before and that no scan finds any more.

        Call this after a scan of all directories: a core that was renamed is claimed by that. Raises AstbtdError if
        the claim cannot be recorded now: it is repeated after the next scan.
        """
        replaced = self._unclaimed.replaced(self._identities.contains_any)
        yield from map(CoreReplaced, filter(self._unclaimed.is_first_report, replaced))
        for record in replaced:
            yield CoreClaimed(self.claims.claim_lost_core(record))
            self._unclaimed.remove(record.facts.identity)

    def _examine(self, file: ExaminedFile) -> Iterator[FinderResult]:
        held = self.incomplete.take(file.path)
        if held is not None:
            status = os.fstat(held)
            finding = self._examine_held(held, file)
            yield from self._handle_finding(finding, status, file)
            if isinstance(finding, StillWritten):
                return
        yield from self._examine_by_name(file)  # what was held open may have lost its name to the next core

    def _examine_held(self, descriptor: int, file: ExaminedFile) -> Finding:
        """Examine a core that is held open. If it cannot be read now, hold it further: its name may be gone."""
        again = os.dup(descriptor)
        try:
            finding = self.filter_for(file.directory).examine_open(descriptor, file.directory.directory, file.name)
        except OSError:
            self.incomplete.hold(IncompleteCore(file.directory, file.name, again))
            raise
        os.close(again)
        return finding

    def _examine_by_name(self, file: ExaminedFile) -> Iterator[FinderResult]:
        status = read_status(file.path)
        if status is None:
            yield from self._claim_if_lost_in_private_tmp(file)
            return
        self._unclaimed.follow(status, file.directory.directory, file.name)
        claimed = self._claimed_files.get(status)
        if claimed:
            yield from self._check_renamed(claimed, status, file)
        elif status in self._examined or self.first_sight.is_old(status):
            return
        elif not self.identity.is_known(status.st_uid) and not self.capacity.has_room(file.found, foreign=True):
            self.postponed_foreign = True
        elif not self.capacity.has_room(file.found):
            self.postponed = True
            self._remember_unclaimed(status, file)
        else:
            finding = self.filter_for(file.directory).examine(file.directory.directory, file.name, status)
            yield from self._handle_finding(finding, status, file)

    def _remember_unclaimed(self, status: os.stat_result, file: ExaminedFile) -> None:
        """Examine a core for which there is no room now. Only what was just written is likely to be overwritten."""
        if file.found is not DiscoveredBy.EVENT:
            return
        finding = self.filter_for(file.directory).examine(file.directory.directory, file.name, status)
        if isinstance(finding, Candidate):
            foreign = core_ownership.judge(finding, self.identity).is_foreign
            self._unclaimed.add(finding, file.found, "too many cores were queued", foreign=foreign)
        if isinstance(finding, Candidate | StillWritten) and finding.descriptor is not None:
            os.close(finding.descriptor)

    def filter_for(self, directory: WatchedDirectory) -> CoreFilter:
        """Return the filter for the files in a directory."""
        empty_counts = directory.volatile_pattern is not None
        return CoreFilter(self._executables, 1, directory.collector, empty_counts, self.examinations)

    def _handle_finding(self, finding: Finding, status: os.stat_result, file: ExaminedFile) -> Iterator[FinderResult]:
        if file.directory.volatile_pattern:
            self._seen_in_private_tmp.add(file.path)
        if isinstance(finding, StillWritten):
            foreign = not self.identity.is_known(status.st_uid)
            self.incomplete.hold(IncompleteCore(file.directory, file.name, finding.descriptor, foreign))
        elif isinstance(finding, Candidate):
            yield from self._claim(finding, file)
        elif isinstance(finding, NotACoreFile):
            self._examined.add(status, True)
        elif not has_link_of_claim(self.claims, file.directory.directory, status):
            if isinstance(finding, RefusedFile):
                self._examined.add(status, True)
            foreign = not self.identity.is_known(status.st_uid)
            other = None if foreign else getattr(finding, "other", None)
            yield from self._refusals.report(RefusedFile(finding.path, finding.reason, other, foreign), status)

    def _claim(self, candidate: Candidate, file: ExaminedFile) -> Iterator[FinderResult]:
        status, crash_id = os.fstat(candidate.descriptor), candidate.facts.crash_id
        ownership = core_ownership.judge(candidate, self.identity)
        if ownership.is_foreign and (reason := core_ownership.reason_to_refuse(status.st_blocks * 512)):
            os.close(candidate.descriptor)
            yield from self._handle_finding(RefusedFile(candidate.path, reason), status, file)
            return
        leave = not ownership.may_move or self.first_sight.is_newest(status)
        self._claimed_files.add(status, ClaimedFile(candidate.path, None if candidate.packed else crash_id))
        if not self._identities.reserve(candidate.facts.identity):
            os.close(candidate.descriptor)
            if file.directory.collector is None and not candidate.packed:
                yield from report_rename(
                    CoreRenamed(crash_id, candidate.directory, candidate.name, file_identity(status))
                )
            return
        try:
            claim = self.claims.claim_core(
                candidate,
                file.found,
                copy=leave or needs_copy(self._action, file.directory),
                quiet=file.quiet,
                leave=leave,
                foreign=ownership.is_foreign,
            )
        except BaseException as error:
            self._identities.release(candidate.facts.identity)
            self._claimed_files.remove(status)
            is_taken = isinstance(error, AlreadyClaimed | Vanished)
            if not is_taken:
                self._unclaimed.add(candidate, file.found, str(error), foreign=ownership.is_foreign)
            os.close(candidate.descriptor)
            if is_taken:
                return
            raise
        self._unclaimed.remove(candidate.facts.identity)
        yield CoreClaimed(claim)

    def _check_renamed(self, claimed: ClaimedFile, status: os.stat_result, file: ExaminedFile) -> Iterator[CoreRenamed]:
        """Report a claimed file that was renamed, as safe_asterisk does."""
        before = read_status(claimed.path)
        if file.path == claimed.path or (before and before.st_ino == status.st_ino):
            return
        self._claimed_files.add(status, replace(claimed, path=file.path))
        if claimed.crash_id:
            directory, identity = file.directory.directory, file_identity(status)
            yield from report_rename(CoreRenamed(claimed.crash_id, directory, file.name, identity))

    def _claim_if_lost_in_private_tmp(self, file: ExaminedFile) -> Iterator[CoreClaimed]:
        pattern = file.directory.volatile_pattern
        if file.found is not DiscoveredBy.EVENT or not pattern or not pattern.matches(file.name):
            return
        if file.path not in self._seen_in_private_tmp:
            self._seen_in_private_tmp.add(file.path)
            yield CoreClaimed(self.claims.claim_lost_core(lost_in_private_tmp(file.directory.directory, file.name)))

    def _resume_moved_claim(self, crash_id: str, directory: str) -> Iterator[CoreClaimed]:
        """Resume a claim of an earlier process whose directory was renamed since."""
        claim = self._resume(crash_id, directory) if crash_id in self.lost.ids else None
        if claim:
            self.lost.ids.discard(crash_id)
            yield CoreClaimed(claim)

    def _resume(self, crash_id: str, directory: str | None) -> Claim | None:
        claim = self.claims.resume(crash_id, directory)
        if claim and claim.descriptor != -1:
            self._claimed_files.add(os.fstat(claim.descriptor), ClaimedFile(claim.record.path, crash_id))
        if claim:
            self._identities.add(claim.record.facts.identity)
        return claim
