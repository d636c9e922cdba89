"""Takes possession of a core so that no crash, kill or rename loses it, and gives it up when the work is done.

A claim is a second name, `.astbtd.<id>`, in the core's own directory, or, where the core must not be touched,
a private copy. A note beside the staging area says what was claimed; it exists exactly as long as the claim.
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd import durable, sparse
from astbtd.codec import Decoder, plain
from astbtd.errors import AstbtdError
from astbtd.intake.candidate import Candidate
from astbtd.intake.names import OpenedDirectory, link_descriptor, remove_if_ours
from astbtd.model import CRASH_ID, CoreFacts, Found

PREFIX = ".astbtd."

_NOTE_SUFFIX = ".claim"
_COPY_SUFFIX = ".core"
_ASIDE_SUFFIX = ".aside"
_NO_LINK_HERE = (
    errno.EROFS,
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,  # a program behind FUSE that knows no links
)


There = Callable[[Callable[[], None]], None]
"""Does something where a claimed core lies: at once, or, if its file system may not answer, in a thread of its own."""


class AlreadyClaimed(AstbtdError):
    """Another process of ours works on this core."""


class Vanished(AstbtdError):
    """The core was gone, or was another one, when it was to be claimed."""


class _NoLinkPossible(Exception):
    """A core's directory does not let us give it a second name."""


@dataclass(frozen=True)
class Note:
    """What is on disk about a claim. `quiet` marks a core that waited when astbtd was first started."""

    facts: CoreFacts
    directory: str
    name: str
    found: Found
    inode: int
    copied: bool
    quiet: bool = False

    @property
    def path(self) -> str:
        """Where the core was found."""
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class Claim:
    """A core that is ours to process: open at `descriptor`, its note locked at `lock`."""

    id: str
    note: Note
    descriptor: int
    lock: int
    there: There = lambda job: job()

    def __lt__(self, other: "Claim") -> bool:
        """The newest crash comes first."""
        return self.note.facts.crashed_at > other.note.facts.crashed_at


@dataclass(frozen=True)
class Claims:
    """The claims noted in `incoming`; `reader` is the group to which a claimed core is made readable, -1 for none.

    `reserve` raises NoRoom when so many bytes more would eat into the disk's reserve.
    """

    incoming: Path
    reader: int
    reserve: Callable[[int], None]

    def take(self, candidate: Candidate, found: Found, *, copy: bool, quiet: bool = False) -> Claim:
        """Claims a candidate; its descriptor becomes the claim's.

        Raises AlreadyClaimed, Vanished, NoRoom, or AstbtdError where the core can neither be linked nor copied.
        """
        if not copy:
            try:
                return self._take(candidate, found, copied=False, quiet=quiet)
            except _NoLinkPossible:
                pass
        return self._take(candidate, found, copied=True, quiet=quiet)

    def noted(self) -> Iterator[str]:
        """The ids of all claims on disk, this process's own included."""
        for entry in sorted(self.incoming.glob(f"*{_NOTE_SUFFIX}")):
            if CRASH_ID.fullmatch(entry.stem):
                yield entry.stem

    def resume(self, crash_id: str, directory: str | None = None) -> Claim | None:
        """The claim that an earlier process left, looked for in `directory`; None if its core is not there.

        Raises AlreadyClaimed while any process has it, this one included.
        """
        try:
            lock = self._lock(crash_id)
        except FileNotFoundError:  # it was given up meanwhile
            return None
        try:
            note = _read_note(lock)
            note = replace(note, directory=directory or note.directory)
            descriptor = self._reopen(crash_id, note)
        except (OSError, ValueError):
            os.close(lock)
            return None
        return Claim(crash_id, note, descriptor, lock)

    def directory(self, crash_id: str) -> str | None:
        """Where the core of a claim was found; None if that cannot be told."""
        try:
            with self._note(crash_id).open("rb") as note:
                return _read_note(note.fileno()).directory
        except (OSError, ValueError):
            return None

    def fetched(self, claim: Claim, alive: Callable[[], None]) -> Claim:
        """The same claim, with a private copy to read: what works on it need not wait for the core's file system.

        Calls `alive` now and then. Raises AstbtdError, NoRoom among others; the claim given stands then.
        """
        return claim if claim.note.copied else self._copied(claim, alive)

    def finish(self, claim: Claim, *, remove_original: bool) -> None:
        """Gives the claim up: removes the link or copy, the core's own name if asked to, and last the note."""
        claim.there(lambda: self._give_up(claim, remove_original))

    def _give_up(self, claim: Claim, remove_original: bool) -> None:
        if not claim.note.copied:
            _drop_names(claim, remove_original)
        self.forget(claim.id)
        self.park(claim)

    def park(self, claim: Claim) -> None:
        """Sets the claim aside for the next start."""
        os.close(claim.descriptor)
        os.close(claim.lock)

    def forget(self, crash_id: str) -> None:
        """Removes the note of a claim that holds nothing."""
        self._copy(crash_id).unlink(missing_ok=True)
        self._note(crash_id).unlink(missing_ok=True)
        durable.sync_directory(self.incoming)

    def _take(self, candidate: Candidate, found: Found, *, copied: bool, quiet: bool) -> Claim:
        crash_id = candidate.facts.crash_id
        inode = os.fstat(candidate.descriptor).st_ino
        note = Note(candidate.facts, candidate.directory, candidate.name, found, inode, copied, quiet)
        lock = self._write_note(crash_id, note)
        try:
            claim = Claim(crash_id, note, candidate.descriptor, lock)
            if copied:
                return self._copied(claim)
            self._link(crash_id, candidate)
        except BaseException:
            self.forget(crash_id)
            os.close(lock)
            raise
        return claim

    def _write_note(self, crash_id: str, note: Note) -> int:
        with durable.said_plainly(f"cannot note the claim of {note.path}"):
            try:
                lock = durable.create(self._note(crash_id), durable.PRIVATE_FILE_MODE)
            except FileExistsError as error:
                raise AlreadyClaimed(f"{note.path} is being processed as {crash_id}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                durable.write_all(lock, json.dumps(plain(note)).encode())
                os.fsync(lock)
                durable.sync_directory(self.incoming)
            except BaseException:
                self._note(crash_id).unlink(missing_ok=True)
                os.close(lock)
                raise
        return lock

    def _lock(self, crash_id: str) -> int:
        lock = os.open(self._note(crash_id), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise AlreadyClaimed(f"{crash_id} is being processed") from error
        return lock

    def _link(self, crash_id: str, candidate: Candidate) -> None:
        """Links the very inode that was examined, whatever its name leads to by now."""
        try:
            with OpenedDirectory(candidate.directory) as directory:
                link_descriptor(candidate.descriptor, directory, PREFIX + crash_id)
                self._secure(candidate, directory, PREFIX + crash_id)
        except OSError as error:
            if error.errno in _NO_LINK_HERE:
                raise _NoLinkPossible from error
            raise Vanished(f"{candidate.path} is gone: {error.strerror}") from error

    def _secure(self, candidate: Candidate, directory: int, link: str) -> None:
        try:
            if os.fstat(candidate.descriptor).st_nlink > 2:
                raise Vanished(f"{candidate.path} was given another name while it was claimed")
            self._let_gdb_read(candidate.descriptor, directory)
            os.fsync(directory)
        except BaseException:
            os.unlink(link, dir_fd=directory)
            raise

    def _let_gdb_read(self, descriptor: int, directory: int) -> None:
        """In a sticky directory the owner stays: a core of ours named `core` would block Asterisk's next dump."""
        if self.reader == -1:
            return
        sticky = os.fstat(directory).st_mode & stat.S_ISVTX
        os.fchown(descriptor, -1 if sticky else 0, self.reader)
        os.fchmod(descriptor, durable.GROUP_READS)

    def _copied(self, claim: Claim, alive: Callable[[], None] = lambda: None) -> Claim:
        path = self._copy(claim.id)
        path.unlink(missing_ok=True)
        with durable.said_plainly(f"cannot copy {claim.note.path}"):
            target = sparse.readable_copy(claim.descriptor, path, self.reader, self.reserve, alive)
            try:
                os.fsync(target)
            except BaseException:
                os.close(target)
                raise
        os.close(claim.descriptor)
        return replace(claim, descriptor=target)

    def _reopen(self, crash_id: str, note: Note) -> int:
        path = self._copy(crash_id) if note.copied else Path(note.directory) / f"{PREFIX}{crash_id}"
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _expect(note, os.fstat(descriptor))
            if not note.copied:
                with OpenedDirectory(note.directory) as directory:
                    self._let_gdb_read(descriptor, directory)  # the kill may have come before this was done
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _note(self, crash_id: str) -> Path:
        return self.incoming / f"{crash_id}{_NOTE_SUFFIX}"

    def _copy(self, crash_id: str) -> Path:
        return self.incoming / f"{crash_id}{_COPY_SUFFIX}"


def _read_note(lock: int) -> Note:
    decoder = Decoder(strict=False)
    note = decoder.dataclass(Note, json.loads(os.pread(lock, os.fstat(lock).st_size, 0)), "")
    if note is None:
        raise ValueError("; ".join(decoder.problems))
    return note


def _expect(note: Note, status: os.stat_result) -> None:
    """Raises ValueError if what has the claim's name is not what was claimed."""
    same = status.st_size == note.facts.size and (note.copied or status.st_ino == note.inode)
    if not stat.S_ISREG(status.st_mode) or not same:
        raise ValueError(f"{note.path} is not what was claimed")


def _drop_names(claim: Claim, remove_original: bool) -> None:
    with suppress(FileNotFoundError), OpenedDirectory(claim.note.directory) as directory:
        link = PREFIX + claim.id
        if remove_original:
            remove_if_ours(directory, claim.note.name, link + _ASIDE_SUFFIX, claim.note.inode)
        with suppress(FileNotFoundError):
            os.unlink(link, dir_fd=directory)
        os.fsync(directory)
