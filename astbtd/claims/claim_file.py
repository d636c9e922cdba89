"""The files that record claims in `incoming`, each locked while a process works on its core.

The first line is the record. A line follows for each attempt to process the core that is not completed: when the daemon
starts, these lines count how often it has ended during such an attempt.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import files, json_file
from astbtd.model.crash import CRASH_ID, CoreFacts, DiscoveredBy, LostCore, Source

SUFFIX = ".claim"
"""The name of a claim file is the id of the crash and this suffix."""

LARGEST_CLAIM = 16 << 20
"""The number of bytes that are read of a claim file."""

_LARGEST_RECORD = 8 << 20
_ATTEMPT = b"\nattempt"


class AlreadyClaimed(AstbtdError):
    """Another process of astbtd, or another thread, works on this core."""


@dataclass(frozen=True)
class ClaimRecord:
    """What a claim file says, with these names: an update of astbtd reads the files of the version before.

    `directory` and `name` are where the core was found, `inode` is that of the file. `copied` means that the claim is
    a private copy, not a link. `quiet` marks a core that was there when astbtd was started for the first time.
    `packed` is the identity of the file in which the core is packed. `loss` says why there is no core. `leave`: the
    core stays where it is, whatever is done with others. `foreign`: the core is not the PBX's. `file` is the identity
    of a linked file, None if the file is to be left or was copied.
    """

    facts: CoreFacts
    directory: str
    name: str
    found: DiscoveredBy
    inode: int
    copied: bool
    quiet: bool = False
    source: str = Source.FILE
    packed: str | None = None
    loss: LostCore | None = None
    leave: bool = False
    foreign: bool = False
    file: str | None = None

    @property
    def path(self) -> str:
        """The path under which the core was found."""
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class ClaimFiles:
    """The claim files in the directory `incoming`."""

    incoming: Path

    def ids(self) -> Iterator[str]:
        """Yield the ids of all claims on disk, including those of this process."""
        for entry in sorted(self.incoming.glob(f"*{SUFFIX}")):
            if CRASH_ID.fullmatch(entry.stem):
                yield entry.stem

    def write(self, crash_id: str, record: ClaimRecord) -> int:
        """Write a new claim file and return a descriptor that locks it. Raises AlreadyClaimed, AstbtdError."""
        with files.wrap_os_error(f"cannot record the claim of {record.path}"):
            try:
                lock = files.create(self.path(crash_id), files.PRIVATE_FILE_MODE)
            except FileExistsError as error:
                raise AlreadyClaimed(f"{record.path} is being processed as {crash_id}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                files.write_all(lock, _encode(record))
                os.fsync(lock)
                files.sync_directory(self.incoming)
            except BaseException:
                self.discard(crash_id)
                os.close(lock)
                raise
        return lock

    def lock(self, crash_id: str) -> int:
        """Lock an existing claim file and return the descriptor. Raises AlreadyClaimed, FileNotFoundError."""
        lock = os.open(self.path(crash_id), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise AlreadyClaimed(f"{crash_id} is being processed") from error
        return lock

    def is_held(self, crash_id: str) -> bool:
        """Return whether a process works on a claim. False if there is no such claim, or it may not be read.

        The file is locked for a moment. A daemon that starts just then takes the claim at its next rescan.
        """
        try:
            with self.path(crash_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def read(self, crash_id: str) -> ClaimRecord | None:
        """Return a record, even if it is locked. None if there is no such file, or it is incomplete."""
        try:
            with self.path(crash_id).open("rb") as file:
                return read(file.fileno())
        except (OSError, ValueError):
            return None

    def remove(self, crash_id: str) -> None:
        """Remove a claim file if it exists, durably."""
        self.path(crash_id).unlink(missing_ok=True)
        files.sync_directory(self.incoming)

    def discard(self, crash_id: str) -> None:
        """Remove a claim file that has no core. If that fails, a later scan finds that it has none."""
        with suppress(OSError):
            self.remove(crash_id)

    def held_locks(self) -> dict[int, str]:
        """Return the descriptors of all claim files that this process holds open, with the ids of the claims."""
        held, incoming = {}, Path(os.path.realpath(self.incoming))
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the descriptor of the listing itself, or one that was closed meanwhile
                path = Path(os.readlink(f"/proc/self/fd/{name}"))
                if path.suffix == SUFFIX and path.parent == incoming and CRASH_ID.fullmatch(path.stem):
                    held[int(name)] = path.stem
        return held

    def path(self, crash_id: str) -> Path:
        """Return the path of a claim file."""
        return self.incoming / f"{crash_id}{SUFFIX}"


def read(descriptor: int) -> ClaimRecord:
    """Return the record in an open claim file. Raises ValueError if it is incomplete."""
    return json_file.decode(_lines(descriptor)[0], ClaimRecord)


def begin_attempt(lock: int) -> int:
    """Add an attempt, durably, to an open claim file. Return how many earlier attempts were not completed.

    Raises OSError, for example if the disk is full.
    """
    content = os.pread(lock, LARGEST_CLAIM, 0)
    earlier = content.count(_ATTEMPT)
    os.pwrite(lock, _ATTEMPT, len(content))
    os.fdatasync(lock)
    return earlier


def end_attempts(lock: int) -> None:
    """Remove all attempts from an open claim file: the daemon has survived the last one. Raises OSError."""
    os.ftruncate(lock, len(_lines(lock)[0]))


def _lines(descriptor: int) -> list[bytes]:
    """Return the record, and a line for each attempt."""
    return os.pread(descriptor, LARGEST_CLAIM, 0).split(_ATTEMPT)


def _encode(record: ClaimRecord) -> bytes:
    """Return a record as JSON that `read` accepts: names beyond the limit are left out."""
    content = json_file.encode(record)
    if len(content) <= _LARGEST_RECORD:
        return content
    facts = replace(record.facts, objects=(), omitted=record.facts.omitted + len(record.facts.objects))
    return json_file.encode(replace(record, facts=facts))


def check_same_file(record: ClaimRecord, status: os.stat_result) -> None:
    """Raise ValueError if a link or copy with this status is not the claimed file."""
    is_same = status.st_size == record.facts.size and (record.copied or status.st_ino == record.inode)
    if not stat.S_ISREG(status.st_mode) or not is_same:
        raise ValueError(f"{record.path} is not the claimed file")
