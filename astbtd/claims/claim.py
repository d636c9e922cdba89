"""Takes possession of a core so that no crash, kill or rename loses it, and gives it up when the work is done.

A claim is a second name, `.astbtd.<id>`, in the core's own directory, or, where the core must not be touched or cannot
be named, a private copy, which `secure` makes. A note beside the staging area says what was claimed; it exists exactly
as long as the claim.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.claims import claim_file
from astbtd.claims.claim_file import AlreadyClaimed, ClaimFiles, ClaimRecord
from astbtd.claims.core_filter import Candidate
from astbtd.claims.hard_links import (
    NO_LINK_HERE,
    OpenedDirectory,
    drop_claim,
    drop_file,
    give_to_group,
    link_descriptor,
)
from astbtd.claims.private_copy import PrivateCopies, unpacked_facts
from astbtd.claims.unpack import Unpacker
from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files
from astbtd.model.crash import DiscoveredBy, Source

__all__ = ["PREFIX", "AlreadyClaimed", "Claim", "ClaimRecord", "Claims", "Vanished"]

PREFIX = ".astbtd."

_NO_CORE = -1


There = Callable[[Callable[[], None]], None]
"""Does something where a claimed core lies: at once, or, if its file system may not answer, in a thread of its own."""


class Vanished(AstbtdError):
    """The core was gone, or was another one, when it was to be claimed."""


class _NoLinkPossible(Exception):
    """A core's directory does not let us give it a second name."""


@dataclass(eq=False)
class Claim:
    """A core that is ours to process: open at `descriptor`, its note locked at `lock`.

    Until it is `secured`, the descriptor is the core's as it was found, and a packed core's id may still change.
    `mistakes` is how often our own code failed at it.
    """

    id: str
    note: ClaimRecord
    descriptor: int
    lock: int
    secured: bool = True
    mistakes: int = 0
    there: There = lambda job: job()

    def __lt__(self, other: "Claim") -> bool:
        """The newest crash comes first."""
        return self.note.facts.crashed_at > other.note.facts.crashed_at

    def close(self) -> None:
        """Lets go of the descriptors; the claim itself stays."""
        if self.descriptor != _NO_CORE:
            os.close(self.descriptor)
        os.close(self.lock)


@dataclass(frozen=True)
class Claims:
    """The claims noted in `incoming`; `reader` is the group that a claimed core is given to, -1 for none.

    `unpacker` also says how much room there is for copies.
    """

    incoming: Path
    reader: int
    unpacker: Unpacker

    def take(self, candidate: Candidate, found: DiscoveredBy, *, copy: bool, quiet: bool = False) -> Claim:
        """Claims a candidate; its descriptor becomes the claim's.

        Raises AlreadyClaimed, Vanished, or AstbtdError where the claim cannot be noted.
        """
        if not copy and not candidate.packed and os.fstat(candidate.descriptor).st_nlink:
            with suppress(_NoLinkPossible):
                return self._take(candidate, found, copied=False, quiet=quiet)
        return self._take(candidate, found, copied=True, quiet=quiet)

    def take_lost(self, lost: ClaimRecord) -> Claim:
        """Claims a crash of which there is no core, for it to be recorded all the same. Raises AlreadyClaimed."""
        crash_id = lost.facts.crash_id
        return Claim(crash_id, lost, _NO_CORE, self._notes.write(crash_id, lost))

    def secure(self, claim: Claim, alive: Callable[[], None] = lambda: None) -> None:
        """Makes the copy that a claim stands for, and unpacks what is packed: only then its id is final.

        Calls `alive` now and then. Raises NoRoom; AlreadyClaimed where the packed core is claimed elsewhere;
        NotUnpacked where it is none of ours.
        """
        if claim.secured:
            return
        packed = claim.note.packed is not None
        with files.said_plainly(f"cannot copy {claim.note.path}"):
            try:
                copy = self._copies.make(claim.descriptor, claim.id, packed=packed, alive=alive)
            except NoRoom:
                if packed or not _is_nameless(claim):
                    raise
                give_to_group(claim.descriptor, self.reader)  # there is no other chance: it is read as it is
            else:
                self._use_copy(claim, copy)
        claim.secured = True

    def noted(self) -> Iterator[str]:
        """The ids of all claims on disk, this process's own included."""
        return self._notes.ids()

    def left_note(self, crash_id: str) -> ClaimRecord | None:
        """What was noted of a claim; None if the note is gone, or was never completed."""
        return self._notes.peek(crash_id)

    def directory(self, crash_id: str) -> str | None:
        """Where the core of a claim was found; None if that cannot be told."""
        left = self.left_note(crash_id)
        return left.directory if left else None

    def fetched(self, claim: Claim, alive: Callable[[], None]) -> Claim:
        """The same claim, with a file of ours to read: what works on it need not wait for the core's file system.

        Calls `alive` now and then. Raises AstbtdError, NoRoom among others; the claim given stands then.
        """
        with files.said_plainly(f"cannot copy {claim.note.path}"):
            if claim.note.packed and not claim.secured:  # it is unpacked by whoever works on it
                copy = self._copies.make(claim.descriptor, f"{claim.id}.packed", packed=False, alive=alive)
                self._copies.remove(f"{claim.id}.packed")
            elif claim.note.copied:
                self.secure(claim, alive)
                return claim
            else:
                copy = self._copies.make(claim.descriptor, claim.id, packed=False, alive=alive)
        os.close(claim.descriptor)
        return replace(claim, descriptor=copy)

    def resume(self, crash_id: str, directory: str | None = None) -> Claim | None:
        """The claim that an earlier process left, looked for in `directory`; None if its core is not there.

        Raises AlreadyClaimed while any process has it, this one included.
        """
        try:
            lock = self._notes.lock(crash_id)
        except FileNotFoundError:  # it was given up meanwhile
            return None
        try:
            left = claim_file.read(lock)
            left = replace(left, directory=directory or left.directory)
            descriptor = _NO_CORE if left.loss else self._reopen(crash_id, left)
        except (OSError, ValueError):
            os.close(lock)
            return None
        return Claim(crash_id, left, descriptor, lock)

    def finish(self, claim: Claim, *, remove_original: bool) -> None:
        """Gives the claim up: removes the link or copy, the core's own name if asked to, and last the note.

        Of what was copied, the original goes only where it was packed and is nobody else's.
        """
        claim.there(lambda: self._give_up(claim, remove_original))

    def _give_up(self, claim: Claim, remove_original: bool) -> None:
        if not claim.note.copied:
            name = claim.note.name if remove_original else None
            drop_claim(claim.note.directory, PREFIX + claim.id, name, claim.note.inode)
        elif remove_original and claim.note.packed and claim.note.source is Source.FILE:
            self.remove(claim.note.directory, claim.note.name, claim.id, claim.note.packed)
        self.forget(claim.id)
        claim.close()

    def remove(self, directory: str, name: str, crash_id: str, file: str) -> None:
        """Removes a name of a collected core, if it still is the file with this identity."""
        drop_file(directory, PREFIX + crash_id, name, file)

    def park(self, claim: Claim) -> None:
        """Sets the claim aside for the next start; a core that has no name gets its copy now, or is gone."""
        if _is_nameless(claim):
            with suppress(AstbtdError):
                self.secure(claim)
        claim.close()

    def forget(self, crash_id: str) -> None:
        """Removes the note of a claim that holds nothing."""
        self._copies.remove(crash_id)
        self._notes.remove(crash_id)

    @property
    def _notes(self) -> ClaimFiles:
        return ClaimFiles(self.incoming)

    @property
    def _copies(self) -> PrivateCopies:
        return PrivateCopies(self.incoming, self.reader, self.unpacker)

    def _take(self, candidate: Candidate, found: DiscoveredBy, *, copied: bool, quiet: bool) -> Claim:
        crash_id = candidate.facts.crash_id
        taken = ClaimRecord(
            candidate.facts,
            candidate.directory,
            candidate.name,
            found,
            os.fstat(candidate.descriptor).st_ino,
            copied,
            quiet,
            candidate.source,
            candidate.facts.identity if candidate.packed else None,
        )
        lock = self._notes.write(crash_id, taken)
        try:
            if not copied:
                self._link(crash_id, candidate)
        except BaseException:
            self._notes.discard(crash_id)
            os.close(lock)
            raise
        return Claim(crash_id, taken, candidate.descriptor, lock, secured=not copied)

    def _link(self, crash_id: str, candidate: Candidate) -> None:
        """Links the very inode that was examined, whatever its name leads to by now."""
        try:
            with OpenedDirectory(candidate.directory) as directory:
                link_descriptor(candidate.descriptor, directory, PREFIX + crash_id)
                self._secure_link(candidate, directory, PREFIX + crash_id)
        except OSError as error:
            if error.errno in NO_LINK_HERE or not os.fstat(candidate.descriptor).st_nlink:
                raise _NoLinkPossible from error
            raise Vanished(f"{candidate.path} is gone: {error.strerror}") from error

    def _secure_link(self, candidate: Candidate, directory: int, link: str) -> None:
        try:
            if os.fstat(candidate.descriptor).st_nlink > 2:
                raise Vanished(f"{candidate.path} was given another name while it was claimed")
            give_to_group(candidate.descriptor, self.reader, directory)
            os.fsync(directory)
        except BaseException:
            os.unlink(link, dir_fd=directory)
            raise

    def _use_copy(self, claim: Claim, copy: int) -> None:
        try:
            if claim.note.packed is not None:
                self._settle_facts(claim, copy)
            os.dup2(copy, claim.descriptor, inheritable=False)
        finally:
            os.close(copy)

    def _settle_facts(self, claim: Claim, core: int) -> None:
        settled = replace(claim.note, facts=unpacked_facts(core, claim.note.facts))
        old, new = claim.id, settled.facts.crash_id
        lock = self._notes.write(new, settled)
        try:
            self._copies.give(old, new)
        except BaseException:
            self._notes.discard(new)
            os.close(lock)
            raise
        os.dup2(lock, claim.lock, inheritable=False)
        os.close(lock)
        claim.id, claim.note = new, settled
        self._notes.discard(old)

    def _reopen(self, crash_id: str, left: ClaimRecord) -> int:
        if left.copied:
            return self._opened(self._copies.path(crash_id), left)
        with OpenedDirectory(left.directory) as directory:
            return self._opened(f"{PREFIX}{crash_id}", left, directory)

    def _opened(self, name: str | Path, left: ClaimRecord, directory: int | None = None) -> int:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            claim_file.expect(left, os.fstat(descriptor))
            if directory is not None:
                give_to_group(descriptor, self.reader, directory)  # the kill may have come before this was done
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _is_nameless(claim: Claim) -> bool:
    return not claim.secured and claim.note.packed is None and not os.fstat(claim.descriptor).st_nlink
