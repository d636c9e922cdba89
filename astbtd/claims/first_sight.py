"""Remember, across restarts, which directories were searched before and which cores lay there at first.

Cores that lay in a directory before the PBX was seen there may be anybody's archive. Only the newest is collected,
by copy; the others stay until somebody asks for them.
"""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from astbtd.elf.core_notes import file_identity
from astbtd.lib import json_file


@dataclass(frozen=True)
class _Sight:
    """What was found at the first sight of a directory: identities of files."""

    directory: str
    newest: tuple[str, ...] = ()
    old: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Memory:
    sights: tuple[_Sight, ...] = ()
    adopted: tuple[str, ...] = ()


@dataclass
class FirstSight:
    """The durable memory in the file `path`; without a path, it lasts as long as the object. Thread-safe.

    `adopted` are globs of directories that an earlier version of astbtd has searched: they count as searched if there
    is no file yet.
    """

    path: Path | None = None
    adopted: Iterable[str] = ()
    _memory: _Memory = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _newest: set[str] = field(default_factory=set, init=False)
    _old: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._use(_read(self.path) or _Memory(adopted=tuple(self.adopted)))
        if self._memory.adopted:
            self._save()

    def is_new(self, directory: str) -> bool:
        """Return whether a directory was never searched."""
        memory = self._memory
        searched = any(sight.directory == directory for sight in memory.sights)
        return not searched and not any(fnmatchcase(directory, pattern) for pattern in memory.adopted)

    def record(self, directory: str, newest: Iterable[os.stat_result], old: Iterable[os.stat_result]) -> None:
        """Record the first sight of a directory: the newest core, and the older ones. Raise OSError."""
        sight = _Sight(directory, tuple(map(file_identity, newest)), tuple(map(file_identity, old)))
        with self._lock:
            self._use(_Memory((*self._memory.sights, sight), self._memory.adopted))
            self._save()

    def is_old(self, status: os.stat_result) -> bool:
        """Return whether a file is a core that is to stay where it is."""
        return bool(self._old) and file_identity(status) in self._old

    def is_newest(self, status: os.stat_result) -> bool:
        """Return whether a file is the core that is collected by copy."""
        return bool(self._newest) and file_identity(status) in self._newest

    def _use(self, memory: _Memory) -> None:
        self._memory = memory
        self._newest = {identity for sight in memory.sights for identity in sight.newest}
        self._old = {identity for sight in memory.sights for identity in sight.old}

    def _save(self) -> None:
        if self.path is not None:
            json_file.replace(self.path, self._memory)


def _read(path: Path | None) -> _Memory | None:
    """Return the content of the file, None if it is missing or damaged."""
    if path is None:
        return None
    with suppress(json_file.Damaged):
        return json_file.read(path, _Memory)
    return None
