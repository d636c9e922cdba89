"""Stores captures of running Asterisk processes: `deadlocks/<id>/`, complete or absent. Only the newest are kept.

They are staged in `capturing/`, which is private and locked while a capture is made.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.errors import AstbtdError
from astbtd.lib import files, json_file
from astbtd.model.record_summary import CRASH_ID
from astbtd.store import record
from astbtd.store.record_limits import LARGEST_RECORD

if TYPE_CHECKING:
    from astbtd.model.deadlock_capture import Deadlock

RECORD_FILE = "deadlock.json"
_SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Captures:
    """The captures in the store `root`. Members of the group with the id `group` can read them; -1: our group."""

    root: Path
    group: int = -1

    def prepare(self) -> None:
        """Create the directories in an existing store. Raise AstbtdError if that fails."""
        with files.wrap_os_error(f"cannot use the store {self.root}"):
            files.make_directory(self._staging, files.PRIVATE_DIRECTORY_MODE)
            files.make_directory(self._deadlocks, group=self.group)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Exclude other captures, and remove what a killed one left. Raise AstbtdError if one is being made."""
        descriptor = os.open(self._staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for entry in self._staging.iterdir():
                files.remove(entry)
            yield
        except BlockingIOError as error:
            raise AstbtdError("another capture is being made", "wait for it: `astbtd list --deadlocks`") from error
        finally:
            os.close(descriptor)

    def stage(self, name: str) -> Path:
        """Create an empty directory to make a capture in, or a part of one."""
        staged = self._staging / name
        files.make_directory(staged, group=self.group)
        return staged

    def create_core_file(self, group: int) -> int:
        """Create a file for a snapshot that `group` can read, and return its descriptor.

        The file has no name, so that it is removed when it is closed.
        """
        path = self._staging / "core"
        path.unlink(missing_ok=True)
        descriptor = files.create(path, files.GROUP_READS, group)
        path.unlink()
        return descriptor

    def commit(self, staged: Path, capture: "Deadlock", keep: int) -> Path:
        """Make a staged capture visible in one step and return its directory. Keep only the newest `keep` captures."""
        files.write_new(staged / RECORD_FILE, record.to_json(capture), group=self.group)
        files.sync_tree(staged)
        committed = files.publish(staged, self.directory(capture.id))
        for capture_id in self.ids()[keep:]:
            self.remove(capture_id)
        return committed

    def directory(self, capture_id: str) -> Path:
        """Return the directory of a capture."""
        return self._deadlocks / capture_id

    def ids(self) -> list[str]:
        """Return the ids of all captures, newest first."""
        try:
            names = os.listdir(self._deadlocks)
        except OSError:  # no capture was made, or permission is denied, which reading the crashes reports
            return []
        return sorted((name for name in names if CRASH_ID.fullmatch(name)), reverse=True)

    def size(self, capture_id: str) -> int:
        """Return the size of all files of a capture in bytes; 0 if it was removed meanwhile."""
        try:
            with os.scandir(self.directory(capture_id)) as entries:
                return sum(entry.stat().st_size for entry in entries)
        except FileNotFoundError:
            return 0

    def matching(self, selector: str) -> list[str]:
        """Return the ids that start with `selector`. Empty if `selector` is too short for an id."""
        if len(selector) < _SHORTEST_PREFIX:
            return []
        return [capture_id for capture_id in self.ids() if capture_id.startswith(selector)]

    def captured_at(self, capture_id: str) -> datetime:
        """Return the time of a capture, to the second."""
        return datetime.strptime(capture_id.partition("-")[0], "%Y%m%dT%H%M%S%z")

    def load(self, capture_id: str) -> "Deadlock":
        """Read the record of a capture. Raise AstbtdError if it is damaged."""
        from astbtd.model.deadlock_capture import Deadlock  # slow to import, and most stores have no captures

        try:
            return json_file.read(self.directory(capture_id) / RECORD_FILE, Deadlock, LARGEST_RECORD)
        except json_file.Damaged as error:
            raise AstbtdError(f"the record of capture {capture_id} is damaged: {error.message}") from error

    def remove(self, capture_id: str) -> None:
        """Remove a capture with all its files, for readers in one step."""
        doomed = files.publish(self.directory(capture_id), self._staging / f"{capture_id}.removed")
        files.remove_tree(doomed)

    @property
    def _deadlocks(self) -> Path:
        return self.root / "deadlocks"

    @property
    def _staging(self) -> Path:
        return self.root / "capturing"
