"""Claim a core so that no crash, kill or rename loses it, and release it when the work is done.

A claim is a hard link `.astbtd.<id>` in the core's own directory. Where the core must not be touched, or cannot have
another name, it is a private copy, which `prepare` makes. A claim file in `incoming` records what was claimed; it
exists exactly as long as the claim.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.claims import claim_file
from astbtd.claims.claim_file import AlreadyClaimed, ClaimFiles, ClaimRecord
from astbtd.claims.core_filter import Candidate
from astbtd.claims.hard_links import (
    LinkRefused,
    OpenedDirectory,
    Vanished,
    find_directory,
    give_to_group,
    link_core,
    remove_claimed_file,
    remove_link,
)
from astbtd.claims.held_claim import NO_CORE, Claim, ClaimOwner
from astbtd.claims.private_copy import PrivateCopies, Unpacker, unpacked_facts
from astbtd.elf.core_notes import file_identity
from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files
from astbtd.model.crash import DiscoveredBy, Source

__all__ = ["PREFIX", "AlreadyClaimed", "Claim", "ClaimOwner", "ClaimRecord", "Claims", "Vanished"]

PREFIX = ".astbtd."
"""The name of a claim's hard link is this and the id of the crash."""


@dataclass(frozen=True)
class Claims:
    """The claims in the directory `incoming`.

    `reader` is the id of the group that may read claimed cores, -1 for none. `unpacker` also limits the size of copies.
    """

    incoming: Path
    reader: int
    unpacker: Unpacker

    def claim_core(
        self,
        candidate: Candidate,
        found: DiscoveredBy,
        *,
        copy: bool,
        quiet: bool = False,
        leave: bool = False,
        foreign: bool = False,
    ) -> Claim:
        """Claim a candidate, by a link unless `copy` is set. The claim takes over the candidate's descriptor.

        The other arguments are as in `ClaimRecord`; a core to leave must be copied.
        Raises AlreadyClaimed, Vanished, or AstbtdError if the claim file cannot be written.
        """
        if not copy and not candidate.packed and os.fstat(candidate.descriptor).st_nlink:
            with suppress(LinkRefused):
                return self._create(candidate, found, copied=False, quiet=quiet, leave=leave, foreign=foreign)
        return self._create(candidate, found, copied=True, quiet=quiet, leave=leave, foreign=foreign)

    def claim_lost_core(self, lost: ClaimRecord) -> Claim:
        """Claim a crash without a core, so that it is recorded all the same. Raises AlreadyClaimed."""
        crash_id = lost.facts.crash_id
        return Claim(crash_id, lost, NO_CORE, self._files.write(crash_id, lost))

    def prepare(self, claim: Claim, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Make the private copy that a claim needs, and unpack a packed core, whose id is final only then.

        Call `heartbeat` now and then. Raises NoRoom; AlreadyClaimed if the unpacked core is claimed under another
        name; NotUnpacked if it is not a core.
        """
        if claim.is_prepared:
            return
        packed = claim.record.packed is not None
        with files.wrap_os_error(f"cannot copy {claim.record.path}"):
            try:
                copy = self._copies.make(claim.descriptor, claim.id, packed=packed, heartbeat=heartbeat)
            except NoRoom:
                if packed or not claim.has_lost_its_name():
                    raise
                # The disk space would not be freed before the descriptor is closed: process the original now.
                give_to_group(claim.descriptor, self.reader)
            else:
                self._use_copy(claim, copy)
        claim.is_prepared = True

    @contextmanager
    def attempt(self, claim: Claim) -> Iterator[None]:
        """Have a note in the claim file during the block that somebody works on the core.

        `claim.deaths` is set to the number of earlier attempts during which the daemon has ended.
        """
        with suppress(OSError):  # without space for the note, go on without it
            claim.deaths = claim_file.begin_attempt(claim.lock)
        try:
            yield
        finally:
            if not claim.is_released:
                with suppress(OSError):
                    claim_file.end_attempts(claim.lock)

    def ids(self) -> Iterator[str]:
        """Yield the ids of all claims on disk, including those of this process."""
        return self._files.ids()

    def exists(self, crash_id: str) -> bool:
        """Return whether there is a claim with this id on disk."""
        return self._files.path(crash_id).exists()

    def held_locks(self) -> dict[int, str]:
        """Return the descriptors of all claim files that this process holds open, with the ids of the claims."""
        return self._files.held_locks()

    def read_record(self, crash_id: str) -> ClaimRecord | None:
        """Return the record of a claim. None if there is no claim, or its file is incomplete."""
        return self._files.read(crash_id)

    def directory(self, crash_id: str) -> str | None:
        """Return the directory in which a claimed core was found. None if the claim's record cannot be read."""
        record = self.read_record(crash_id)
        return record.directory if record else None

    def copy_to_store(self, claim: Claim, heartbeat: Callable[[], None]) -> Claim:
        """Return the claim with a local copy of its core to read, so that nothing has to wait for a remote mount.

        Call `heartbeat` now and then. Raises AstbtdError, for example NoRoom; the claim given is then still valid.
        """
        with files.wrap_os_error(f"cannot copy {claim.record.path}"):
            if claim.record.packed and not claim.is_prepared:
                # Only the worker unpacks. The copy needs no name: `prepare` makes the file with the core's name.
                copy = self._copies.make(claim.descriptor, f"{claim.id}.packed", packed=False, heartbeat=heartbeat)
                self._copies.remove(f"{claim.id}.packed")
            elif claim.record.copied:
                self.prepare(claim, heartbeat)
                return claim
            else:
                copy = self._copies.make(claim.descriptor, claim.id, packed=False, heartbeat=heartbeat)
        os.close(claim.descriptor)
        return replace(claim, descriptor=copy)

    def resume(self, crash_id: str, directory: str | None = None) -> Claim | None:
        """Resume a claim that an earlier process left, looking for its core in `directory` if that is given.

        Return None if its core is not there. Raises AlreadyClaimed if a process, maybe this one, works on it.
        """
        try:
            lock = self._files.lock(crash_id)
        except FileNotFoundError:  # it was released meanwhile
            return None
        try:
            record = claim_file.read(lock)
            record = replace(record, directory=directory or record.directory)
            descriptor = NO_CORE if record.loss else self._reopen(crash_id, record)
        except (OSError, ValueError):
            os.close(lock)
            return None
        return Claim(crash_id, record, descriptor, lock)

    def finish(self, claim: Claim, *, remove_original: bool) -> None:
        """Release a claim: remove the link or copy, then the core's own name if requested, and the claim file last.

        The original of a private copy is removed only if it was packed and belongs to no other collector.
        """
        claim.is_released = True
        if claim.owner:
            claim.owner.request_finish(claim, remove_original=remove_original)
        else:
            self.finish_here(claim, remove_original=remove_original)

    def finish_here(self, claim: Claim, *, remove_original: bool) -> None:
        """Do the work of `finish` in this thread."""
        record = claim.record
        if not record.copied:
            name = record.name if remove_original else None
            directory = find_directory(claim.descriptor, record.directory, PREFIX + claim.id)
            remove_link(directory, PREFIX + claim.id, name, record.inode)
        elif remove_original and record.packed and record.source == Source.FILE and not record.leave:
            self.remove_core(record.directory, record.name, claim.id, record.packed)
        self.forget(claim.id)
        claim.close()

    def remove_core(self, directory: str, name: str, crash_id: str, file: str) -> None:
        """Remove a collected core, if it still is the file with the identity `file`."""
        remove_claimed_file(directory, PREFIX + crash_id, name, file)

    def suspend(self, claim: Claim) -> None:
        """Leave a claim for the next start. A core that has lost its name is copied now, or it is lost."""
        if claim.has_lost_its_name():
            with suppress(AstbtdError):
                self.prepare(claim)
        claim.close()

    def forget(self, crash_id: str) -> None:
        """Remove the private copy and the file of a claim."""
        self._copies.remove(crash_id)
        self._files.remove(crash_id)

    @property
    def _files(self) -> ClaimFiles:
        return ClaimFiles(self.incoming)

    @property
    def _copies(self) -> PrivateCopies:
        return PrivateCopies(self.incoming, self.reader, self.unpacker)

    def _create(
        self, candidate: Candidate, found: DiscoveredBy, *, copied: bool, quiet: bool, leave: bool, foreign: bool
    ) -> Claim:
        crash_id = candidate.facts.crash_id
        status = os.fstat(candidate.descriptor)
        record = ClaimRecord(
            candidate.facts,
            candidate.directory,
            candidate.name,
            found,
            status.st_ino,
            copied,
            quiet,
            candidate.source,
            candidate.facts.identity if candidate.packed else None,
            leave=leave,
            foreign=foreign,
            file=None if copied else file_identity(status),
        )
        lock = self._files.write(crash_id, record)
        try:
            if not copied:
                link_core(candidate.descriptor, candidate.path, candidate.directory, PREFIX + crash_id, self.reader)
        except BaseException:
            self._files.discard(crash_id)
            os.close(lock)
            raise
        return Claim(crash_id, record, candidate.descriptor, lock, is_prepared=not copied)

    def _use_copy(self, claim: Claim, copy: int) -> None:
        try:
            if claim.record.packed is not None:
                self._set_final_id(claim, copy)
            os.dup2(copy, claim.descriptor, inheritable=False)
        finally:
            os.close(copy)

    def _set_final_id(self, claim: Claim, core: int) -> None:
        """Replace facts and id of a claim by those of the unpacked core. The old claim file is removed last."""
        record = replace(claim.record, facts=unpacked_facts(core, claim.record.facts))
        old, new = claim.id, record.facts.crash_id
        lock = self._files.write(new, record)
        try:
            self._copies.reassign(old, new)
        except BaseException:
            self._files.discard(new)
            os.close(lock)
            raise
        os.dup2(lock, claim.lock, inheritable=False)
        os.close(lock)
        claim.id, claim.record = new, record
        self._files.discard(old)

    def _reopen(self, crash_id: str, record: ClaimRecord) -> int:
        if record.copied:
            return self._open_checked(self._copies.path(crash_id), record)
        with OpenedDirectory(record.directory) as directory:
            return self._open_checked(f"{PREFIX}{crash_id}", record, directory)

    def _open_checked(self, name: str | Path, record: ClaimRecord, directory: int | None = None) -> int:
        """Open a link or copy. Raises OSError, or ValueError if it is another file."""
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            claim_file.check_same_file(record, os.fstat(descriptor))
            if directory is not None:
                give_to_group(descriptor, self.reader, directory)  # a kill may have come before this was done
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
