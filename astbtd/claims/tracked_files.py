"""What the finder remembers: files it has examined, cores it has claimed, and cores that are still being written."""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from astbtd.sources.watched_directories import WatchedDirectory

_MAX_CACHED = 20_000  # a busy /tmp has some thousands of files
_MAX_OPEN = 64  # descriptors; no machine dumps that many cores at the same time

CollectedIdentities = Callable[[Collection[str]], set[str]]
"""Return those of the given identities whose cores were collected before. A query without side effects."""

T = TypeVar("T")


class FileCache(Generic[T]):
    """Values by file, for the `limit` files that were added last. A changed size or mtime makes an entry invalid."""

    def __init__(self, limit: int = _MAX_CACHED) -> None:
        self._limit = limit
        self._files: OrderedDict[tuple[int, int], tuple[tuple[int, int], T]] = OrderedDict()

    def __contains__(self, status: os.stat_result) -> bool:
        return self.get(status) is not None

    def get(self, status: os.stat_result) -> T | None:
        """Return the value of a file. None if the file is unknown, or has changed since it was added."""
        version, value = self._files.get((status.st_dev, status.st_ino), (None, None))
        return value if version == (status.st_size, status.st_mtime_ns) else None

    def add(self, status: os.stat_result, value: T) -> None:
        """Remember a file in its current version. Forget the oldest file if there are too many."""
        self._files[status.st_dev, status.st_ino] = (status.st_size, status.st_mtime_ns), value
        while len(self._files) > self._limit:
            self._files.popitem(last=False)

    def remove(self, status: os.stat_result) -> None:
        """Forget a file."""
        self._files.pop((status.st_dev, status.st_ino), None)


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

    `name` is relative to the directory. `descriptor` is None if the file is not held open.
    """

    directory: WatchedDirectory
    name: str
    descriptor: int | None

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
        """Add a core and take over its descriptor. If too many are open already, only the path is remembered."""
        self._close(self._cores.pop(core.path, None))
        if len(self._cores) >= _MAX_OPEN:
            self._close(core)
            core = IncompleteCore(core.directory, core.name, None)
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
