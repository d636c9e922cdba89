"""Judge whose a core is: the PBX's or that of a foreign program, and whether it may be moved out of its directory.

Both follow from the notes of the core, the owner of the file, and the directory. The kernel gives a core to the user
of the process, or to root if the process changed its user, and writes it with the rights of that user.
"""

import os
import pwd
import stat
from dataclasses import dataclass

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.core_filter import Candidate
from astbtd.lib.quantities import format_size
from astbtd.model.crash import Process, Source

MAX_FOREIGN_BYTES = 256 << 20
"""The size on disk, in bytes, up to which the core of a foreign program is collected."""


@dataclass(frozen=True)
class CoreOwnership:
    """`foreign_reason` says why the core is foreign; None if it is the PBX's. `may_move`: it need not stay."""

    foreign_reason: str | None
    may_move: bool

    @property
    def is_foreign(self) -> bool:
        """True if the core is not the PBX's."""
        return self.foreign_reason is not None


def judge(candidate: Candidate, identity: PbxIdentity) -> CoreOwnership:
    """Judge a core that was found in a watched directory. Nobody has named the file, so its owner counts."""
    status = os.fstat(candidate.descriptor)
    process = candidate.facts.process
    owner = None if _is_stored_by_root(candidate) else status.st_uid
    reason = identity.foreign_crash_reason(process.uid, owner, process.executable)
    return CoreOwnership(reason, was_dumped_here(candidate.directory, status, process))


def reason_to_refuse(allocated: int) -> str | None:
    """Return why the core of a foreign program that takes so many bytes is not collected, None if it is."""
    if allocated > MAX_FOREIGN_BYTES:
        return f"it is a core of a foreign program, and larger than {format_size(MAX_FOREIGN_BYTES)}"
    return None


def was_dumped_here(directory: str, status: os.stat_result, process: Process) -> bool:
    """Return whether the kernel can have written this file here for this process.

    Its owner is the user of the process, or root; and that user can write the directory, as the kernel had to.
    """
    uid = process.uid
    if uid is None or status.st_uid not in (uid, 0):
        return False
    try:
        return _may_write(os.stat(directory), uid, process.gid)
    except OSError:
        return False


def _is_stored_by_root(candidate: Candidate) -> bool:
    """Return whether a collector has stored the core where only its own user can create files."""
    if candidate.source == Source.FILE:
        return False
    try:
        return not os.stat(os.path.dirname(candidate.path)).st_mode & stat.S_IWOTH
    except OSError:
        return False


def _may_write(status: os.stat_result, uid: int, gid: int | None) -> bool:
    if uid == 0:
        return True
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IWUSR)
    if status.st_mode & stat.S_IWGRP and status.st_gid in _groups(uid, gid):
        return True
    return bool(status.st_mode & stat.S_IWOTH)


def _groups(uid: int, gid: int | None) -> set[int]:
    """Return the groups of a process: the one in its core, and those of its user."""
    groups = set() if gid is None else {gid}
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return groups
    return groups | set(os.getgrouplist(account.pw_name, account.pw_gid))
