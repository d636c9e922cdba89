"""The spool: notifications on their way from the step that reads the store to the unit that has network access.

DIRECTORY/state.json          what the reading step knows; replacing it is what commits a pass
DIRECTORY/staged/             notifications of a pass that is not committed yet
DIRECTORY/waiting/            notifications to deliver, in the order of their names: GENERATION-NUMBER.json

A pass that is killed is either repeated from the start, or completed: nothing is lost, and nothing is there twice.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.notify.payload import LARGEST, Notification, from_json, to_json

MOST = 10_000
"""The largest number of notifications that wait. The oldest are dropped, and counted."""

EVERYBODY_ENTERS = 0o755

_SUFFIX = ".json"


_DAMAGE = (errno.EIO, errno.EINVAL, errno.ELOOP)
"""The errors that do not pass: of a damaged disk, or of something that is no regular file."""


class DamagedEntry(AstbtdError):
    """An entry of the spool is damaged, and will never be readable."""


@dataclass(frozen=True)
class SpoolEntry:
    """A notification in the spool. Names sort by age; `name` is what the mark of a sink refers to."""

    name: str
    notification: Notification


@dataclass(frozen=True)
class Spool:
    """The spool in `root`. systemd keeps it in a directory that only root can enter, and shows it to the units.

    What waits can be read by the networked unit, which runs as another user; the rest is its writer's.
    """

    root: Path

    @property
    def state_file(self) -> Path:
        """The file with the state of the reading step."""
        return self.root / "state.json"

    def prepare(self, generation: int) -> None:
        """Create the directories, and complete or undo what a killed pass left. `generation`: the last committed one.

        Raise OSError.
        """
        if not self.root.is_dir():  # systemd makes it for a unit, as a link
            files.make_directory(self.root, EVERYBODY_ENTERS)
        files.make_directory(self._staged, files.PRIVATE_DIRECTORY_MODE)
        files.make_directory(self._waiting, EVERYBODY_ENTERS)
        files.temporary_path(self.state_file).unlink(missing_ok=True)
        self._finish(generation)

    def commit(self, generation: int, notifications: Sequence[Notification], save: Callable[[], None]) -> None:
        """Add notifications: all of them if `save`, which replaces the state, succeeds, else none. Raise OSError."""
        for number, notification in enumerate(notifications):
            name = f"{generation:010d}-{number:06d}{_SUFFIX}"
            files.write_new(self._staged / name, to_json(notification), files.EVERYBODY_READS)
        files.sync_directory(self._staged)
        save()
        self._finish(generation)

    def names(self) -> list[str]:
        """Return the names of the entries that wait, the oldest first. Raise AstbtdError if they cannot be read."""
        try:
            return sorted(name for name in os.listdir(self._waiting) if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AstbtdError(f"cannot read the spool {self._waiting}: {error.strerror}", "use sudo") from error

    def read(self, name: str) -> SpoolEntry | None:
        """Return an entry, None if it was removed in the meantime.

        Raise DamagedEntry; AstbtdError if it cannot be read now.
        """
        path = self._waiting / name
        try:
            with os.fdopen(files.open_regular(path, follow=False), "rb") as file:
                content = file.read(LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            kind = DamagedEntry if error.errno in _DAMAGE else AstbtdError
            raise kind(f"cannot read {path}: {error.strerror}") from error
        try:
            return SpoolEntry(name, from_json(content))
        except AstbtdError as error:
            raise DamagedEntry(f"cannot read {path}: {error.message}") from error

    def remove(self, names: Iterable[str]) -> None:
        """Remove entries. Raise OSError."""
        for name in names:
            (self._waiting / name).unlink(missing_ok=True)

    def _finish(self, generation: int) -> None:
        """Publish what was staged by the committed pass, and remove what others left."""
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._staged)):
                if name.startswith(f"{generation:010d}-") and name.endswith(_SUFFIX):
                    files.move(self._staged / name, self._waiting / name)
                else:
                    (self._staged / name).unlink(missing_ok=True)
            files.sync_directory(self._waiting)

    @property
    def _staged(self) -> Path:
        return self.root / "staged"

    @property
    def _waiting(self) -> Path:
        return self.root / "waiting"
