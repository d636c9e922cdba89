"""Watch a changing set of directories through a backend: inotify, or polling.

Hints say where to look, not what is there; only a scan tells that. A directory that is missing, removed, renamed or
created again is watched as soon as it exists; until then its nearest existing parent is watched. An overflow of the
event queue and every new watch ask for a scan, so that no gap goes unnoticed.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import PurePosixPath
from typing import Protocol


class EventKind(Enum):
    """What kind of event a backend reports."""

    FILE = auto()
    """The file `name` was written, moved in or created."""
    DIRECTORY = auto()
    """The directory `name` was created or moved in."""
    GONE = auto()
    """The watched directory itself was removed or renamed. Its watch has ended, or is useless."""
    LOST = auto()
    """Events may be missing, of any watched directory."""


@dataclass(frozen=True)
class Event:
    """An event in the watched `directory`, under the path it had when the watch was added."""

    kind: EventKind
    directory: str = ""
    name: str = ""


class Backend(Protocol):
    """Reports events in directories, not in their subdirectories."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are events."""

    def add(self, directory: str) -> bool:
        """Watch a directory from now on. Return False if it cannot be watched."""

    def remove(self, directory: str) -> None:
        """End the watch on a directory. No event of it is reported any more."""

    def read_events(self) -> list[Event]:
        """Return the events since the last call, without waiting."""

    def close(self) -> None:
        """End all watches."""


@dataclass(frozen=True)
class FileWritten:
    """A file in a watched directory was written or moved in. Of a socket, a pipe or a link: created."""

    directory: str
    name: str


@dataclass(frozen=True)
class RescanNeeded:
    """A directory is newly watched, or events may have been lost: all its files must be examined."""

    directory: str


@dataclass(frozen=True)
class DirectoryCreated:
    """A directory was created in a watched directory, or moved in."""

    directory: str
    name: str


Hint = FileWritten | RescanNeeded | DirectoryCreated


class DirectoryWatch:
    """Watches directories, given by their real paths, through one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._wanted: tuple[str, ...] = ()
        self._watched: dict[str, tuple[int, int]] = {}  # device and inode by path, parents of missing ones included
        self._hints: list[Hint] = []

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are events."""
        return self._backend.fileno()

    def close(self) -> None:
        """End all watches."""
        self._backend.close()

    def watch(self, directories: Iterable[str]) -> None:
        """Watch these directories from now on, and no others."""
        self._wanted = tuple(dict.fromkeys(directories))
        self.renew()

    def unwatched(self) -> tuple[str, ...]:
        """Return the wanted directories that cannot be watched now: they do not exist, or cannot be read."""
        return tuple(directory for directory in self._wanted if directory not in self._watched)

    def renew(self) -> None:
        """Compare the watches with the directories on disk, and add and remove watches accordingly."""
        targets: set[str] | None = None
        while targets != (current := self._targets()):  # a directory may appear before its parent is watched
            targets = current
            for directory in [watched for watched in self._watched if watched not in targets]:
                self._remove(directory)
            for directory in sorted(targets):
                self._add(directory)

    def read_hints(self) -> list[Hint]:
        """Return the hints since the last call, without waiting."""
        events = self._backend.read_events()
        for event in events:
            if event.kind is EventKind.GONE:
                self._remove(event.directory)
        kinds = {event.kind for event in events}
        if kinds - {EventKind.FILE}:
            self.renew()
        for event in events:
            self._hints += self._hints_from(event)
        hints, self._hints = list(dict.fromkeys(self._hints)), []
        return [hint for hint in hints if hint.directory in self._wanted]

    def _hints_from(self, event: Event) -> list[Hint]:
        if event.kind is EventKind.LOST:
            return [RescanNeeded(directory) for directory in self._watched]
        if event.kind is EventKind.DIRECTORY:
            return [DirectoryCreated(event.directory, event.name)]
        return [FileWritten(event.directory, event.name)] if event.kind is EventKind.FILE else []

    def _targets(self) -> set[str]:
        """Return what to watch: the wanted directories, or their nearest existing parents."""
        return {existing for directory in self._wanted if (existing := _nearest_existing(directory))}

    def _add(self, directory: str) -> None:
        """Watch a directory, unless it is watched already and still is the same one."""
        try:
            status = os.stat(directory)
        except OSError:
            self._remove(directory)
            return
        identity = status.st_dev, status.st_ino
        if self._watched.get(directory) == identity:
            return
        self._remove(directory)
        if self._backend.add(directory):
            self._watched[directory] = identity
            self._hints.append(RescanNeeded(directory))

    def _remove(self, directory: str) -> None:
        if self._watched.pop(directory, None):
            self._backend.remove(directory)


def _nearest_existing(directory: str) -> str | None:
    path = PurePosixPath(directory)
    for candidate in (path, *path.parents):
        if os.path.isdir(candidate):
            return str(candidate)
    return None
