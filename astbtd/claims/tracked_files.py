"""What the finder remembers: files it has examined, cores it has claimed, and cores that are still being written."""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, TypeVar

from astbtd.claims.findings import RefusedFile
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory

_MAX_CACHED = 20_000  # a busy /tmp has some thousands of files
_MAX_FOREIGN = 8  # incomplete cores of other users than the PBX's
_MAX_OPEN = 64  # descriptors; no machine dumps that many cores at the same time

CollectedIdentities = Callable[[Collection[str]], set[str]]
"""Return those of the given identities whose cores were collected before. A query without side effects."""

T = TypeVar("T")


class Fields(Enum):
    """Which fields of a file's status tell that it has changed."""

    CONTENT = ("st_size", "st_mtime_ns")
    ALL = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_nlink")


class FileCache(Generic[T]):
    """Values by file, for the `limit` files that were added last. A file that has changed is unknown.

    `fields` tell whether it has. A claim changes the links and the ctime of its file, but not the content.
    """

    def __init__(self, limit: int = _MAX_CACHED, fields: Fields = Fields.ALL) -> None:
        self._limit = limit
        self._fields = fields
        self._files: OrderedDict[tuple[int, int], tuple[tuple[int, ...], T]] = OrderedDict()

    def __contains__(self, status: os.stat_result) -> bool:
        return self.get(status) is not None

    def get(self, status: os.stat_result) -> T | None:
        """Return the value of a file. None if the file is unknown, or has changed since it was added."""
        version, value = self._files.get((status.st_dev, status.st_ino), (None, None))
        return value if version == self._version(status) else None

    def add(self, status: os.stat_result, value: T) -> None:
        """Remember a file in its current version. Forget the oldest file if there are too many."""
        self._files[status.st_dev, status.st_ino] = self._version(status), value
        while len(self._files) > self._limit:
            self._files.popitem(last=False)

    def remove(self, status: os.stat_result) -> None:
        """Forget a file."""
        self._files.pop((status.st_dev, status.st_ino), None)

    def _version(self, status: os.stat_result) -> tuple[int, ...]:
        return tuple(getattr(status, field) for field in self._fields.value)


class ReportedRefusals:
    """The refused files that were reported, so that each is reported once in each version and for each reason."""

    def __init__(self) -> None:
        self._reasons: FileCache[str] = FileCache(fields=Fields.CONTENT)

    def report(self, refused: RefusedFile, status: os.stat_result) -> Iterator[RefusedFile]:
        """Yield the refusal of the file with this status, unless it was reported before."""
        if self._reasons.get(status) != refused.reason:
            self._reasons.add(status, refused.reason)
            yield refused


@dataclass(frozen=True)
class ExaminedFile:
    """A file to examine. `name` is relative to the directory; `quiet` as in `ClaimRecord`."""

    directory: WatchedDirectory
    name: str
    found: DiscoveredBy
    quiet: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory.directory, self.name)


class ClaimedIdentities:
    """The identities of claimed cores, shared by the finders of all threads, so that a core is claimed once."""

    def __init__(self, collected: CollectedIdentities) -> None:
        self.collected = collected
        self._claimed: dict[str, object] = {}  # maybe recorded in the store by now

    def reserve(self, identity: str) -> bool:
        """Reserve an identity before its core is claimed. Return False if it is claimed or was collected before."""
        collected = self.collected({*list(self._claimed), identity})
        for recorded in collected:
            self._claimed.pop(recorded, None)
        reservation = object()  # dict.setdefault is atomic: only one thread gets its own object back
        return identity not in collected and self._claimed.setdefault(identity, reservation) is reservation

    def add(self, identity: str) -> None:
        """Add the identity of a claim that an earlier process has left."""
        self._claimed[identity] = object()

    def release(self, identity: str) -> None:
        """Undo a reservation: the core could not be claimed."""
        self._claimed.pop(identity, None)

    def contains_any(self, identities: set[str]) -> bool:
        """Return whether one of these cores is claimed or was collected."""
        return bool(identities & self._claimed.keys() or self.collected(identities))


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """Where a claimed file was last seen. `crash_id` is None for a packed core, whose id is not final yet."""

    path: str
    crash_id: str | None


@dataclass(frozen=True)
class IncompleteCore:
    """A core that is still being written.

    `name` is relative to the directory. `descriptor` is None if the file is not held open. `foreign`: the file's owner
    is not a user of the PBX.
    """

    directory: WatchedDirectory
    name: str
    descriptor: int | None
    foreign: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory.directory, self.name)


class IncompleteCores:
    """The cores that are still being written, by path.

    They are held open, so that a core is collected even if its name is removed or reused before it is complete.
    """

    def __init__(self) -> None:
        self._cores: dict[str, IncompleteCore] = {}

    def __bool__(self) -> bool:
        return bool(self._cores)

    def all(self) -> list[IncompleteCore]:
        """Return a copy of the list, which does not change while the cores are examined again."""
        return list(self._cores.values())

    def hold(self, core: IncompleteCore) -> None:
        """Add a core and take over its descriptor. If too many are open already, only the path is remembered.

        Of other users' files, few are remembered at all: a rescan finds the others when they are complete.
        """
        self._close(self._cores.pop(core.path, None))
        if core.foreign and sum(each.foreign for each in self._cores.values()) >= _MAX_FOREIGN:
            self._close(core)
            return
        if len(self._cores) >= _MAX_OPEN:
            self._close(core)
            core = replace(core, descriptor=None)
        self._cores[core.path] = core

    def take(self, path: str) -> int | None:
        """Remove a core and return its descriptor, which the caller closes. None if there is none."""
        core = self._cores.pop(path, None)
        return core.descriptor if core else None

    def close(self) -> None:
        """Close all descriptors and forget all cores."""
        for core in self._cores.values():
            self._close(core)
        self._cores.clear()

    @staticmethod
    def _close(core: IncompleteCore | None) -> None:
        if core and core.descriptor is not None:
            os.close(core.descriptor)


def needs_copy(action: CoreAction, directory: WatchedDirectory) -> bool:
    """Return whether cores in this directory must not be altered, or will not stay."""
    return action is CoreAction.LEAVE or directory.collector is not None or directory.volatile_pattern is not None


def read_status(path: str) -> os.stat_result | None:
    """Return the status of a file, or of a link itself; None if it cannot be read."""
    try:
        return os.lstat(path)
    except OSError:
        return None
