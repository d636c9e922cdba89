"""What `DirectoryWatch` asks of those who see changes for it: inotify, and polling where inotify is blind."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class EventKind(Enum):
    """What a backend saw."""

    FILE = auto()
    """The file `name` was written, moved in or made."""
    DIRECTORY = auto()
    """A directory was made or moved in."""
    GONE = auto()
    """The watched directory itself was removed or renamed; the watch on it has ended or is of no use."""
    LOST = auto()
    """Events of any watched directory may be missing."""


@dataclass(frozen=True)
class Event:
    """Something that happened in the watched `directory`, which is named as it was when the watch began."""

    what: EventKind
    directory: str = ""
    name: str = ""


class Backend(Protocol):
    """Sees what happens in directories, not below them; knows nothing of which are wanted or missing."""

    def fileno(self) -> int:
        """Readable when there are events."""

    def add(self, directory: str) -> bool:
        """Watches a directory from now on; False where it cannot be watched."""

    def remove(self, directory: str) -> None:
        """Ends the watch on a directory; nothing more is reported of it."""

    def events(self) -> list[Event]:
        """What has happened since the last call; does not wait."""

    def close(self) -> None:
        """Ends all watches."""
