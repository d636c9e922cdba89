"""The notes of claims: what is on disk about a core that is ours to process, locked while a process works on it."""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.lib.serialization import Decoder, plain
from astbtd.model.crash import CRASH_ID, CoreFacts, DiscoveredBy, LostCore, Source

SUFFIX = ".claim"
"""Of the note's name, after the id of the crash."""


class AlreadyClaimed(AstbtdError):
    """Another process of ours works on this core."""


@dataclass(frozen=True)
class ClaimRecord:
    """What is on disk about a claim. `quiet` marks a core that waited when astbtd was first started.

    `inode` is that of the file it was found in. `copied`: the claim is a private copy. `packed` is the identity of the
    file it is packed in, `loss` says why there is no core.
    """

    facts: CoreFacts
    directory: str
    name: str
    found: DiscoveredBy
    inode: int
    copied: bool
    quiet: bool = False
    source: Source = Source.FILE
    packed: str | None = None
    loss: LostCore | None = None

    @property
    def path(self) -> str:
        """Where the core was found."""
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class ClaimFiles:
    """The notes in the directory `incoming`."""

    incoming: Path

    def ids(self) -> Iterator[str]:
        """The ids of all claims on disk, this process's own included."""
        for entry in sorted(self.incoming.glob(f"*{SUFFIX}")):
            if CRASH_ID.fullmatch(entry.stem):
                yield entry.stem

    def write(self, crash_id: str, note: ClaimRecord) -> int:
        """Writes a new note and returns the descriptor that locks it. Raises AlreadyClaimed, AstbtdError."""
        with files.said_plainly(f"cannot note the claim of {note.path}"):
            try:
                lock = files.create(self._path(crash_id), files.PRIVATE_FILE_MODE)
            except FileExistsError as error:
                raise AlreadyClaimed(f"{note.path} is being processed as {crash_id}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                files.write_all(lock, json.dumps(plain(note)).encode())
                os.fsync(lock)
                files.sync_directory(self.incoming)
            except BaseException:
                self.discard(crash_id)
                os.close(lock)
                raise
        return lock

    def lock(self, crash_id: str) -> int:
        """Locks a note that is there. Raises AlreadyClaimed, FileNotFoundError."""
        lock = os.open(self._path(crash_id), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise AlreadyClaimed(f"{crash_id} is being processed") from error
        return lock

    def peek(self, crash_id: str) -> ClaimRecord | None:
        """A note, whoever works on its core; None if it is gone, or was never completed."""
        try:
            with self._path(crash_id).open("rb") as file:
                return read(file.fileno())
        except (OSError, ValueError):
            return None

    def remove(self, crash_id: str) -> None:
        """Removes a note, if it is there."""
        self._path(crash_id).unlink(missing_ok=True)
        files.sync_directory(self.incoming)

    def discard(self, crash_id: str) -> None:
        """Removes a note that holds nothing; one that resists is found to hold nothing by the next search."""
        with suppress(OSError):
            self.remove(crash_id)

    def _path(self, crash_id: str) -> Path:
        return self.incoming / f"{crash_id}{SUFFIX}"


def read(lock: int) -> ClaimRecord:
    """The note open at `lock`. Raises ValueError where it was never completed."""
    decoder = Decoder(strict=False)
    note = decoder.dataclass(ClaimRecord, json.loads(os.pread(lock, os.fstat(lock).st_size, 0)), "")
    if note is None:
        raise ValueError("; ".join(decoder.problems))
    return note


def expect(note: ClaimRecord, status: os.stat_result) -> None:
    """Raises ValueError if what has a claim's name, with this status, is not what was claimed."""
    same = status.st_size == note.facts.size and (note.copied or status.st_ino == note.inode)
    if not stat.S_ISREG(status.st_mode) or not same:
        raise ValueError(f"{note.path} is not what was claimed")
