"""Looks at files that may be cores, says once what is left alone, and claims what is ours."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from astbtd.asterisk.asterisk_processes import is_private
from astbtd.claims import lost_cores
from astbtd.claims.claim import PREFIX, AlreadyClaimed, Claim, ClaimRecord, Claims, Vanished
from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, RefusedFile, StillWritten
from astbtd.claims.file_cache import FileCache
from astbtd.claims.incomplete_cores import IncompleteCore, IncompleteCores
from astbtd.elf.core_notes import file_identity
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.spot import WatchedDirectory

_MOST_TAKEN = 2000  # claimed files that are known by their inode when they are met again: twice as many as may wait


@dataclass(frozen=True)
class RenamedCore:
    """A collected core under a new name: the very file that was claimed, with its identity `file`, or a copy of it."""

    crash_id: str
    directory: str
    name: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class _ClaimedFile:
    """Where a claimed file was last seen; there is no id of a packed core until it is unpacked."""

    path: str
    crash_id: str | None


@dataclass
class CoreFinder:
    """What was looked at so far; `collected` tells which of some identities are of cores that somebody has collected.

    `refused` is told a path and a reason, once for each version of a file; `moved` of collected cores with new names.
    What is found for which there is no `room` is left where it is, and `postponed`.
    """

    claims: Claims
    collected: Callable[[Collection[str]], set[str]]
    executables: Collection[str]
    action: CoreAction
    refused: Callable[[str, str], None]
    moved: Callable[[RenamedCore], None]
    room: Callable[[DiscoveredBy], bool] = lambda _: True
    postponed: bool = False
    unfinished: IncompleteCores = field(default_factory=IncompleteCores)
    lost: set[str] = field(default_factory=set)
    _claimed: dict[str, object] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)
    _known: FileCache[bool] = field(default_factory=FileCache)
    _taken: FileCache[_ClaimedFile] = field(default_factory=lambda: FileCache(_MOST_TAKEN))
    _told: FileCache[bool] = field(default_factory=FileCache)

    def under(self, claims: Claims, executables: Collection[str], action: CoreAction) -> "CoreFinder":
        """A search that judges by other settings, and does not say again what this one said."""
        return replace(self, claims=claims, executables=executables, action=action, _known=FileCache())

    def beside(self) -> "CoreFinder":
        """A search for another thread, elsewhere: of the two, one collects a core that both come across."""
        judging = (self.executables, self.action, self.refused, self.moved, self.room)
        return CoreFinder(self.claims, self.collected, *judging, _claimed=self._claimed)

    def entries(self, spot: WatchedDirectory) -> list[str]:
        """What in a directory is to be looked at; nothing where it cannot be read."""
        try:
            return os.listdir(spot.directory)  # os.scandir may stop all threads while it asks a file system for types
        except OSError:
            return []

    def written(self, spot: WatchedDirectory, entry: str) -> float:
        """When an entry was last written, in seconds since 1970."""
        status = _status(os.path.join(spot.directory, entry))
        return status.st_mtime if status else 0.0

    def look(self, spot: WatchedDirectory, entry: str, found: DiscoveredBy, *, quiet: bool = False) -> Iterator[Claim]:
        """Claims what is a complete core of Asterisk that was not collected yet.

        A core that is still being written is put in `unfinished`.
        """
        if entry.startswith(PREFIX) and entry.removeprefix(PREFIX) in self.claims.noted():
            yield from self._moved_claim(entry.removeprefix(PREFIX), spot.directory)
            return
        names = spot.collector.cores(spot.directory, entry) if spot.collector else []
        if not names and spot.plain:
            names, spot = [entry], replace(spot, collector=None)
        for name in names:
            yield from self._file(spot, name, found, quiet)

    def look_again(self, held: IncompleteCore) -> Iterator[Claim]:
        """Claims a core that was unfinished, if it is complete now."""
        return self._file(held.spot, held.name, DiscoveredBy.EVENT, False)

    def left_claims(self, ours: Callable[[str | None], bool]) -> Iterator[Claim]:
        """The claims that an earlier run left in directories that are `ours`; those whose core is gone become `lost`.

        The directory of a claim whose note is damaged is None.
        """
        self.lost.clear()
        for crash_id in list(self.claims.noted()):
            if not ours(self.claims.directory(crash_id)):
                continue
            try:
                claim = self._resumed(crash_id, None)
            except AlreadyClaimed:
                continue
            if claim:
                yield claim
            else:
                self.lost.add(crash_id)

    def forget_lost_claims(self) -> list[ClaimRecord]:
        """Forgets the claims in `lost`: they were never completed, or were given up but for the note.

        One whose directory is gone waits for it: a disk or a file server may come back, a private /tmp does not.
        """
        forgotten = []
        for crash_id in self.lost:
            note = self.claims.left_note(crash_id)
            if note is None or os.path.isdir(note.directory) or is_private(note.directory):
                self.claims.forget(crash_id)
                forgotten += [note] if note else []
        return forgotten

    def losses(self, forgotten: list[ClaimRecord]) -> Iterator[Claim]:
        """Claims, to be recorded as lost, of which no copy had been made, and whose core is nowhere any more."""
        for note in forgotten:
            identities = set(filter(None, (note.facts.identity, note.packed)))
            found = identities & self._claimed.keys() or self.collected(identities) or _is_there(note)
            if note.copied and not found:
                yield self.claims.take_lost(replace(note, loss=lost_cores.NEVER_COPIED))

    def _file(self, spot: WatchedDirectory, name: str, found: DiscoveredBy, quiet: bool) -> Iterator[Claim]:
        path = os.path.join(spot.directory, name)
        examiner = CoreFilter(self.executables, collector=spot.collector, empty_counts=spot.fleeting is not None)
        held = self.unfinished.take(path)
        if held is not None:
            status = os.fstat(held)
            finding = examiner.examine_open(held, spot.directory, name)
            yield from self._judged(finding, status, spot, name, found, quiet)
            if isinstance(finding, StillWritten):
                return
        new = _status(path)
        if new is None:
            yield from self._swept_away(spot, name, found)
        elif taken := self._taken.get(new):
            self._note_move(taken, new, spot, name)
        elif new not in self._known and not self.room(found):
            self.postponed = True
        elif new not in self._known:
            yield from self._judged(examiner.examine(spot.directory, name, new), new, spot, name, found, quiet)

    def _judged(
        self,
        finding: Finding,
        status: os.stat_result,
        spot: WatchedDirectory,
        name: str,
        found: DiscoveredBy,
        quiet: bool,
    ) -> Iterator[Claim]:
        if spot.fleeting:
            self._met.add(os.path.join(spot.directory, name))
        if isinstance(finding, StillWritten):
            self.unfinished.hold(IncompleteCore(spot, name, finding.descriptor))
        elif isinstance(finding, Candidate):
            yield from self._claim(finding, spot, found, quiet)
        else:
            self._known.add(status, True)
            if isinstance(finding, RefusedFile) and status not in self._told:
                self._told.add(status, True)
                self.refused(finding.path, finding.reason)

    def _claim(self, candidate: Candidate, spot: WatchedDirectory, found: DiscoveredBy, quiet: bool) -> Iterator[Claim]:
        status, crash_id = os.fstat(candidate.descriptor), candidate.facts.crash_id
        self._taken.add(status, _ClaimedFile(candidate.path, None if candidate.packed else crash_id))
        identity, mine = candidate.facts.identity, object()
        collected = self.collected({*list(self._claimed), identity})
        for settled in collected:
            self._claimed.pop(settled, None)
        if identity in collected or self._claimed.setdefault(identity, mine) is not mine:
            os.close(candidate.descriptor)
            if spot.collector is None and not candidate.packed:
                self._tell_move(RenamedCore(crash_id, candidate.directory, candidate.name))
            return
        copy = self.action is CoreAction.LEAVE or spot.collector is not None or spot.fleeting is not None
        try:
            claim = self.claims.take(candidate, found, copy=copy, quiet=quiet)
        except BaseException as error:
            self._claimed.pop(identity, None)
            self._taken.remove(status)
            os.close(candidate.descriptor)
            if isinstance(error, AlreadyClaimed | Vanished):
                return
            raise
        yield claim

    def _note_move(self, taken: _ClaimedFile, status: os.stat_result, spot: WatchedDirectory, name: str) -> None:
        """A claimed file may be renamed by whoever finds it first, such as safe_asterisk."""
        path = os.path.join(spot.directory, name)
        before = _status(taken.path)
        if path == taken.path or (before and before.st_ino == status.st_ino):
            return
        self._taken.add(status, replace(taken, path=path))
        if taken.crash_id:
            self._tell_move(RenamedCore(taken.crash_id, spot.directory, name, file_identity(status)))

    def _tell_move(self, move: RenamedCore) -> None:
        if not move.name.startswith(PREFIX):  # which is our own doing
            self.moved(move)

    def _swept_away(self, spot: WatchedDirectory, name: str, found: DiscoveredBy) -> Iterator[Claim]:
        path = os.path.join(spot.directory, name)
        if found is DiscoveredBy.EVENT and spot.fleeting and spot.fleeting.names(name) and path not in self._met:
            self._met.add(path)
            yield self.claims.take_lost(lost_cores.swept_away(spot.directory, name))

    def _moved_claim(self, crash_id: str, directory: str) -> Iterator[Claim]:
        """A claim of an earlier run, whose directory was renamed since."""
        claim = self._resumed(crash_id, directory) if crash_id in self.lost else None
        if claim:
            self.lost.discard(crash_id)
            yield claim

    def _resumed(self, crash_id: str, directory: str | None) -> Claim | None:
        claim = self.claims.resume(crash_id, directory)
        if claim and claim.descriptor != -1:
            self._taken.add(os.fstat(claim.descriptor), _ClaimedFile(claim.note.path, crash_id))
        if claim:
            self._claimed[claim.note.facts.identity] = claim.id
        return claim


def _is_there(note: ClaimRecord) -> bool:
    """Whether the core that was to be copied still lies where it was; nobody else may look there for cores."""
    status = _status(note.path)
    return status is not None and status.st_ino == note.inode


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
