"""Examine files that may be cores, and claim the ones that are to be collected.

The methods are generators: each result is handled by the caller before the next file is examined.
"""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from astbtd.asterisk.asterisk_processes import is_private_tmp
from astbtd.claims.claim import PREFIX, AlreadyClaimed, Claim, ClaimRecord, Claims, Vanished
from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, RefusedFile, StillWritten
from astbtd.claims.lost_cores import is_still_there, lost_before_copy, lost_in_private_tmp
from astbtd.claims.tracked_files import (
    ClaimedFile,
    ClaimedIdentities,
    CollectedIdentities,
    FileCache,
    IncompleteCore,
    IncompleteCores,
)
from astbtd.elf.core_notes import file_identity
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory

_MAX_CLAIMED_FILES = 2000  # claimed files that are recognized by their inode: twice as many as may be queued


@dataclass(frozen=True)
class CoreClaimed:
    """A core was claimed; the receiver owns the claim."""

    claim: Claim


@dataclass(frozen=True)
class CoreRenamed:
    """A collected core was found under a new name.

    `file` is the identity of the file if it is the one that was claimed, None if it is a copy.
    """

    crash_id: str
    directory: str
    name: str
    file: str | None = None


FinderResult = CoreClaimed | CoreRenamed | RefusedFile
"""What the finder reports. A refused file is reported once for each version of the file."""


class Capacity(Protocol):
    """Limits how many claims may be queued."""

    def has_room(self, found: DiscoveredBy, in_transit: int = 0) -> bool:
        """Return whether one more core that was discovered this way may be claimed now.

        `in_transit` is the number of claims that are not queued yet.
        """


@dataclass(frozen=True)
class _File:
    """A file to examine. `name` is relative to the directory; `quiet` as in `ClaimRecord`."""

    directory: WatchedDirectory
    name: str
    found: DiscoveredBy
    quiet: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory.directory, self.name)


class CoreFinder:
    """Examines the files in watched directories, in one thread.

    `incomplete` are cores that are still being written. `lost` are the ids of claims whose core was not found.
    `postponed` is set if a file was not examined because there was no capacity.
    """

    def __init__(
        self,
        claims: Claims,
        collected: CollectedIdentities,
        executables: Collection[str],
        action: CoreAction,
        capacity: Capacity,
    ) -> None:
        self.claims = claims
        self.capacity = capacity
        self.postponed = False
        self.incomplete = IncompleteCores()
        self.lost: set[str] = set()
        self._identities = ClaimedIdentities(collected)
        self._executables = executables
        self._action = action
        self._seen_in_private_tmp: set[str] = set()
        self._examined: FileCache[bool] = FileCache()
        self._claimed_files: FileCache[ClaimedFile] = FileCache(_MAX_CLAIMED_FILES)
        self._refused: FileCache[bool] = FileCache()

    def update_settings(self, claims: Claims, executables: Collection[str], action: CoreAction) -> None:
        """Judge files by new settings from now on. Refused files are not reported again."""
        self.claims = claims
        self._executables = executables
        self._action = action
        self._examined = FileCache()

    def for_another_thread(self, capacity: Capacity) -> "CoreFinder":
        """Return a finder for another thread. If both find the same core, only one of them claims it."""
        finder = CoreFinder(self.claims, self._identities.collected, self._executables, self._action, capacity)
        finder._identities = self._identities
        return finder

    def examine_entry(
        self, directory: WatchedDirectory, entry: str, found: DiscoveredBy, *, quiet: bool = False
    ) -> Iterator[FinderResult]:
        """Examine a directory entry, and claim it if it is a complete core of Asterisk that was not collected before.

        Add a core that is still being written to `incomplete`.
        """
        if entry.startswith(PREFIX):
            crash_id = entry.removeprefix(PREFIX)
            if crash_id in self.claims.ids():
                yield from self._resume_moved_claim(crash_id, directory.directory)
                return
        names = directory.collector.core_files(directory.directory, entry) if directory.collector else []
        if not names and directory.kernel_writes:
            names, directory = [entry], replace(directory, collector=None)
        for name in names:
            yield from self._examine(_File(directory, name, found, quiet))

    def recheck(self, core: IncompleteCore) -> Iterator[FinderResult]:
        """Examine a core of `incomplete` again, and claim it if it is complete now."""
        return self._examine(_File(core.directory, core.name, DiscoveredBy.EVENT))

    def resume_claims(self, is_ours: Callable[[str | None], bool]) -> Iterator[CoreClaimed]:
        """Resume the claims that an earlier process left in the directories for which `is_ours` returns True.

        The directory of a claim with a damaged record is None. Claims whose core is missing are added to `lost`.
        """
        self.lost.clear()
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
                self.lost.add(crash_id)

    def forget_lost_claims(self) -> list[ClaimRecord]:
        """Remove the records of the claims in `lost`, and return them.

        Such a claim was never completed, or was already released except for its record. A claim whose directory is
        missing is kept, since a disk or a file server may come back; but a private /tmp does not come back.
        """
        forgotten = []
        for crash_id in self.lost:
            record = self.claims.read_record(crash_id)
            if record is None or os.path.isdir(record.directory) or is_private_tmp(record.directory):
                self.claims.forget(crash_id)
                forgotten += [record] if record else []
        return forgotten

    def claim_lost_cores(self, forgotten: list[ClaimRecord]) -> Iterator[CoreClaimed]:
        """Claim the cores that vanished before they were copied, so that their loss is recorded."""
        for record in forgotten:
            identities = {record.facts.identity, record.packed or record.facts.identity}
            exists = self._identities.contains_any(identities) or is_still_there(record)
            if record.copied and not exists:
                yield CoreClaimed(self.claims.claim_lost_core(lost_before_copy(record)))

    def _examine(self, file: _File) -> Iterator[FinderResult]:
        held = self.incomplete.take(file.path)
        if held is not None:
            status = os.fstat(held)
            finding = self._filter(file).examine_open(held, file.directory.directory, file.name)
            yield from self._handle_finding(finding, status, file)
            if isinstance(finding, StillWritten):
                return
        yield from self._examine_by_name(file)  # what was held open may have lost its name to the next core

    def _examine_by_name(self, file: _File) -> Iterator[FinderResult]:
        status = _status(file.path)
        if status is None:
            yield from self._claim_if_lost_in_private_tmp(file)
            return
        claimed = self._claimed_files.get(status)
        if claimed:
            yield from self._check_renamed(claimed, status, file)
        elif status in self._examined:
            return
        elif not self.capacity.has_room(file.found):
            self.postponed = True
        else:
            finding = self._filter(file).examine(file.directory.directory, file.name, status)
            yield from self._handle_finding(finding, status, file)

    def _filter(self, file: _File) -> CoreFilter:
        directory = file.directory
        return CoreFilter(
            self._executables, collector=directory.collector, empty_counts=directory.volatile_pattern is not None
        )

    def _handle_finding(self, finding: Finding, status: os.stat_result, file: _File) -> Iterator[FinderResult]:
        if file.directory.volatile_pattern:
            self._seen_in_private_tmp.add(file.path)
        if isinstance(finding, StillWritten):
            self.incomplete.hold(IncompleteCore(file.directory, file.name, finding.descriptor))
        elif isinstance(finding, Candidate):
            yield from self._claim(finding, file)
        else:
            self._examined.add(status, True)
            if isinstance(finding, RefusedFile) and status not in self._refused:
                self._refused.add(status, True)
                yield finding

    def _claim(self, candidate: Candidate, file: _File) -> Iterator[FinderResult]:
        status, crash_id = os.fstat(candidate.descriptor), candidate.facts.crash_id
        self._claimed_files.add(status, ClaimedFile(candidate.path, None if candidate.packed else crash_id))
        if not self._identities.reserve(candidate.facts.identity):
            os.close(candidate.descriptor)
            if file.directory.collector is None and not candidate.packed:
                yield from _renamed(CoreRenamed(crash_id, candidate.directory, candidate.name))
            return
        try:
            claim = self.claims.claim_core(
                candidate, file.found, copy=self._needs_copy(file.directory), quiet=file.quiet
            )
        except BaseException as error:
            self._identities.release(candidate.facts.identity)
            self._claimed_files.remove(status)
            os.close(candidate.descriptor)
            if isinstance(error, AlreadyClaimed | Vanished):
                return
            raise
        yield CoreClaimed(claim)

    def _needs_copy(self, directory: WatchedDirectory) -> bool:
        """Return whether cores in this directory must not be altered, or will not stay."""
        return (
            self._action is CoreAction.LEAVE
            or directory.collector is not None
            or directory.volatile_pattern is not None
        )

    def _check_renamed(self, claimed: ClaimedFile, status: os.stat_result, file: _File) -> Iterator[CoreRenamed]:
        """Report a claimed file that was renamed, as safe_asterisk does."""
        before = _status(claimed.path)
        if file.path == claimed.path or (before and before.st_ino == status.st_ino):
            return
        self._claimed_files.add(status, replace(claimed, path=file.path))
        if claimed.crash_id:
            directory = file.directory.directory
            yield from _renamed(CoreRenamed(claimed.crash_id, directory, file.name, file_identity(status)))

    def _claim_if_lost_in_private_tmp(self, file: _File) -> Iterator[CoreClaimed]:
        pattern = file.directory.volatile_pattern
        if file.found is not DiscoveredBy.EVENT or not pattern or not pattern.matches(file.name):
            return
        if file.path not in self._seen_in_private_tmp:
            self._seen_in_private_tmp.add(file.path)
            yield CoreClaimed(self.claims.claim_lost_core(lost_in_private_tmp(file.directory.directory, file.name)))

    def _resume_moved_claim(self, crash_id: str, directory: str) -> Iterator[CoreClaimed]:
        """Resume a claim of an earlier process whose directory was renamed since."""
        claim = self._resume(crash_id, directory) if crash_id in self.lost else None
        if claim:
            self.lost.discard(crash_id)
            yield CoreClaimed(claim)

    def _resume(self, crash_id: str, directory: str | None) -> Claim | None:
        claim = self.claims.resume(crash_id, directory)
        if claim and claim.descriptor != -1:
            self._claimed_files.add(os.fstat(claim.descriptor), ClaimedFile(claim.record.path, crash_id))
        if claim:
            self._identities.add(claim.record.facts.identity)
        return claim


def _renamed(renamed: CoreRenamed) -> Iterator[CoreRenamed]:
    if not renamed.name.startswith(PREFIX):  # a name that a claim has given the core
        yield renamed


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
