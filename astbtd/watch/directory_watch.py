"""Watches directories: hints that say where to look, never what is there.

A directory that is absent, removed, renamed or made anew is watched again as soon as it is back; until then its
nearest existing parent is. Overflow and every new watch ask for a scan, so that no gap goes unnoticed.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from astbtd.watch.backend import Backend, Event, EventKind


@dataclass(frozen=True)
class FileWritten:
    """A file in a watched directory was written, or moved in; for sockets and such: created."""

    directory: str
    name: str


@dataclass(frozen=True)
class Scan:
    """A directory is newly watched, or events of it may have been lost: all of it is to be looked at."""

    directory: str


@dataclass(frozen=True)
class DirectoryCreated:
    """A directory was made in a watched directory, or moved in."""

    directory: str
    name: str


Hint = FileWritten | Scan | DirectoryCreated


class DirectoryWatch:
    """Watches on a changing set of directories, given by their real paths, all through one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._wanted: tuple[str, ...] = ()
        self._armed: dict[str, tuple[int, int]] = {}
        self._hints: list[Hint] = []

    def fileno(self) -> int:
        """What to wait on for events."""
        return self._backend.fileno()

    def close(self) -> None:
        """Ends all watches."""
        self._backend.close()

    def watch(self, directories: Iterable[str]) -> None:
        """Watches these directories from now on, and no others."""
        self._wanted = tuple(dict.fromkeys(directories))
        self.rearm()

    def absent(self) -> tuple[str, ...]:
        """The wanted directories that cannot be watched now: they do not exist, or may not be read."""
        return tuple(directory for directory in self._wanted if directory not in self._armed)

    def rearm(self) -> None:
        """Compares the watches with what is on disk and mends the difference."""
        targets: set[str] | None = None
        while targets != (now := self._targets()):  # a directory may appear before its parent's watch is armed
            targets = now
            for directory in [known for known in self._armed if known not in targets]:
                self._drop(directory)
            for directory in sorted(targets):
                self._arm(directory)

    def hints(self) -> list[Hint]:
        """What has happened since the last call; does not wait."""
        events = self._backend.events()
        for event in events:
            if event.what is EventKind.GONE:
                self._drop(event.directory)
        if any(event.what is not EventKind.FILE for event in events):
            self.rearm()
        self._hints += [hint for event in events for hint in self._hints_of(event)]
        hints, self._hints = list(dict.fromkeys(self._hints)), []
        return [hint for hint in hints if hint.directory in self._wanted]

    def _hints_of(self, event: Event) -> list[Hint]:
        if event.what is EventKind.LOST:
            return [Scan(directory) for directory in self._armed]
        if event.what is EventKind.DIRECTORY:
            return [DirectoryCreated(event.directory, event.name)]
        return [FileWritten(event.directory, event.name)] if event.what is EventKind.FILE else []

    def _targets(self) -> set[str]:
        return {target for directory in self._wanted if (target := _nearest_existing(directory))}

    def _arm(self, directory: str) -> None:
        try:
            status = os.stat(directory)
        except OSError:
            self._drop(directory)
            return
        identity = status.st_dev, status.st_ino
        if self._armed.get(directory) == identity:
            return
        self._drop(directory)
        if self._backend.add(directory):
            self._armed[directory] = identity
            self._hints.append(Scan(directory))

    def _drop(self, directory: str) -> None:
        if self._armed.pop(directory, None):
            self._backend.remove(directory)


def _nearest_existing(directory: str) -> str | None:
    path = PurePosixPath(directory)
    for candidate in (path, *path.parents):
        if os.path.isdir(candidate):
            return str(candidate)
    return None
