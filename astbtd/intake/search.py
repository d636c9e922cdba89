"""Looks at files that may be cores, says once what is left alone, and claims what is ours."""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from astbtd.intake.candidate import Candidate, NotYet, Refused, examine
from astbtd.intake.claim import PREFIX, AlreadyClaimed, Claim, Claims, Vanished
from astbtd.model import CoreAction, Found

_REMEMBERED = 20_000
"""How many files are remembered as looked at: a busy /tmp has some thousands."""


class _Remembered:
    """Files, each in the version it had, of which the latest are remembered."""

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[int, int], tuple[int, int]] = OrderedDict()

    def __contains__(self, status: os.stat_result) -> bool:
        return self._versions.get((status.st_dev, status.st_ino)) == (status.st_size, status.st_mtime_ns)

    def add(self, status: os.stat_result) -> None:
        self._versions[status.st_dev, status.st_ino] = (status.st_size, status.st_mtime_ns)
        while len(self._versions) > _REMEMBERED:
            self._versions.popitem(last=False)

    def remove(self, status: os.stat_result) -> None:
        self._versions.pop((status.st_dev, status.st_ino), None)


@dataclass
class Search:
    """What was looked at so far; `collected` gives the identities of all cores that were collected, by whomever.

    `refused` is told a path and a reason, once for each version of a file.
    """

    claims: Claims
    collected: Callable[[], set[str]]
    executables: Collection[str]
    action: CoreAction
    refused: Callable[[str, str], None]
    unfinished: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    _claimed: dict[str, object] = field(default_factory=dict)
    _known: _Remembered = field(default_factory=_Remembered)
    _taken: _Remembered = field(default_factory=_Remembered)
    _told: _Remembered = field(default_factory=_Remembered)

    def under(self, claims: Claims, executables: Collection[str], action: CoreAction) -> "Search":
        """A search that judges by other settings, and does not say again what this one said."""
        return replace(self, claims=claims, executables=executables, action=action, _known=_Remembered())

    def beside(self) -> "Search":
        """A search for another thread, elsewhere: of the two, one collects a core that both come across."""
        return Search(self.claims, self.collected, self.executables, self.action, self.refused, _claimed=self._claimed)

    def names(self, directory: str) -> list[str]:
        """What in a directory is to be looked at; nothing where it cannot be read."""
        try:
            return os.listdir(directory)  # os.scandir may stop all threads while it asks a file system for types
        except OSError:
            return []

    def file(self, directory: str, name: str, found: Found, *, quiet: bool = False) -> Claim | None:
        """Claims the file if it is a complete core of Asterisk that was not collected yet.

        A core that is still being written is put in `unfinished`. Raises NoRoom where there is no room for a copy.
        """
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in self.claims.noted():
            return self._moved_claim(name.removeprefix(PREFIX), directory)
        path = os.path.join(directory, name)
        self.unfinished.discard(path)
        status = _status(path)
        if status is None or status in self._known or status in self._taken:
            return None
        finding = examine(directory, name, self.executables)
        if isinstance(finding, NotYet):
            self.unfinished.add(path)
            return None
        if isinstance(finding, Candidate):
            return self._claim(finding, found, quiet)
        self._known.add(status)
        if isinstance(finding, Refused) and status not in self._told:
            self._told.add(status)
            self.refused(finding.path, finding.reason)
        return None

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

    def forget_lost_claims(self) -> None:
        """Forgets the claims in `lost`: they were never completed, or were given up but for the note.

        One whose directory is gone waits for it: a disk or a file server may come back.
        """
        for crash_id in self.lost:
            directory = self.claims.directory(crash_id)
            if directory is None or os.path.isdir(directory):
                self.claims.forget(crash_id)

    def _claim(self, candidate: Candidate, found: Found, quiet: bool) -> Claim | None:
        self._taken.add(os.fstat(candidate.descriptor))
        identity, mine, collected = candidate.facts.identity, object(), self.collected()
        for settled in collected.intersection(list(self._claimed)):
            self._claimed.pop(settled, None)
        if identity in collected or self._claimed.setdefault(identity, mine) is not mine:
            os.close(candidate.descriptor)
            return None
        try:
            claim = self.claims.take(candidate, found, copy=self.action is CoreAction.LEAVE, quiet=quiet)
        except BaseException as error:
            self._claimed.pop(identity, None)
            self._taken.remove(os.fstat(candidate.descriptor))
            os.close(candidate.descriptor)
            if isinstance(error, AlreadyClaimed | Vanished):
                return None
            raise
        return claim

    def _moved_claim(self, crash_id: str, directory: str) -> Claim | None:
        """A claim of an earlier run, whose directory was renamed since."""
        claim = self._resumed(crash_id, directory) if crash_id in self.lost else None
        if claim:
            self.lost.discard(crash_id)
        return claim

    def _resumed(self, crash_id: str, directory: str | None) -> Claim | None:
        claim = self.claims.resume(crash_id, directory)
        if claim:
            self._taken.add(os.fstat(claim.descriptor))
            self._claimed[claim.note.facts.identity] = claim.id
        return claim


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
