"""Keeps the captures of running Asterisks: `deadlocks/<id>/` in the store, complete or absent, the newest few.

They are made in `capturing/`, which is private, and locked by whoever makes one.
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
from astbtd.lib import files
from astbtd.model.record_summary import CRASH_ID
from astbtd.store import record

if TYPE_CHECKING:
    from astbtd.model.deadlock_capture import Deadlock

RECORD_FILE = "deadlock.json"
_LARGEST_RECORD = 16 << 20
_SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Captures:
    """The captures in the store at `root`; their files are readable by `group`, -1 for our own."""

    root: Path
    group: int = -1

    def prepare(self) -> None:
        """Makes the directories, in a store that is there. Raises AstbtdError."""
        with files.said_plainly(f"cannot use the store {self.root}"):
            files.make_directory(self._staging, files.PRIVATE_DIRECTORY_MODE)
            files.make_directory(self._deadlocks, group=self.group)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps others from capturing meanwhile, and removes what a killed one left. Raises AstbtdError."""
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
        """A new, empty directory to make a capture in, or a part of one."""
        staged = self._staging / name
        files.make_directory(staged, group=self.group)
        return staged

    def core(self, group: int) -> int:
        """A descriptor of a new file for a snapshot, which `group` can read. It has no name: it ends with its use."""
        path = self._staging / "core"
        path.unlink(missing_ok=True)
        descriptor = files.create(path, files.GROUP_READS, group)
        path.unlink()
        return descriptor

    def commit(self, staged: Path, capture: "Deadlock", keep: int) -> Path:
        """Makes a staged capture visible in one step, and removes the oldest beyond `keep`; returns its directory."""
        files.write_new(staged / RECORD_FILE, record.text(capture), group=self.group)
        files.sync_tree(staged)
        committed = files.publish(staged, self.directory(capture.id))
        for capture_id in self.ids()[keep:]:
            self.remove(capture_id)
        return committed

    def directory(self, capture_id: str) -> Path:
        """Where a capture's files are."""
        return self._deadlocks / capture_id

    def ids(self) -> list[str]:
        """The ids of all captures, newest first."""
        try:
            names = os.listdir(self._deadlocks)
        except OSError:  # no capture was made, or the store cannot be read, which those say who read the crashes
            return []
        return sorted((name for name in names if CRASH_ID.fullmatch(name)), reverse=True)

    def matching(self, selector: str) -> list[str]:
        """The captures whose ids begin so; none where that is too short to be meant."""
        long_enough = len(selector) >= _SHORTEST_PREFIX
        return [capture_id for capture_id in self.ids() if capture_id.startswith(selector)] if long_enough else []

    def moment(self, capture_id: str) -> datetime:
        """When a capture was made, to the second."""
        return datetime.strptime(capture_id.partition("-")[0], "%Y%m%dT%H%M%S%z")

    def load(self, capture_id: str) -> "Deadlock":
        """The record of a capture. Raises AstbtdError."""
        from astbtd.model.deadlock_capture import Deadlock  # most stores have no captures, and `list` is to be quick

        try:
            return record.read(self.directory(capture_id) / RECORD_FILE, Deadlock, _LARGEST_RECORD)
        except record.Damaged as error:
            raise AstbtdError(f"the record of capture {capture_id} is damaged: {error.message}") from error

    def remove(self, capture_id: str) -> None:
        """Removes a capture with all its files, in one step for whoever reads the store meanwhile."""
        doomed = files.publish(self.directory(capture_id), self._staging / f"{capture_id}.removed")
        files.remove_tree(doomed)

    @property
    def _deadlocks(self) -> Path:
        return self.root / "deadlocks"

    @property
    def _staging(self) -> Path:
        return self.root / "capturing"
