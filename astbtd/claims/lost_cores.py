"""Claim records for cores that vanished before they could be read, with advice how to keep the next one."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from astbtd.asterisk.asterisk_processes import is_private_tmp
from astbtd.claims.claim import Claims
from astbtd.claims.claim_file import ClaimRecord
from astbtd.model.crash import CoreFacts, DiscoveredBy, IdentityFrom, LostCore, Process

GIVE_EACH_CORE_A_NAME = (
    "Give each core a name of its own, so that the next crash does not overwrite it: "
    "`sysctl -w kernel.core_uses_pid=1`, or `%p` in `kernel.core_pattern`; permanently in a file of /etc/sysctl.d."
)
_LOST_IN_PRIVATE_TMP = LostCore(
    "The core is lost: it was in the private /tmp of Asterisk's service, which was removed before the core was opened.",
    "Write cores to a directory that is not removed: either run `systemctl edit asterisk.service` and set "
    "`PrivateTmp=no` in the section `[Service]`; or use a directory that Asterisk can write to, "
    "`sysctl -w kernel.core_pattern=/var/spool/asterisk/core.%e.%p`.",
)
_LOST_BEFORE_COPY = LostCore(
    "The core is lost: astbtd was interrupted before it had copied the core, and the original is gone.",
    "Find the reason for the interruption with `journalctl -u astbtd`.",
)


def lost_in_private_tmp(directory: str, name: str) -> ClaimRecord:
    """Return the record of a core that was created in `directory` just now, and of which nothing else is known."""
    now = datetime.now(UTC)
    path = os.path.join(directory, name)
    identity = hashlib.sha256(f"{path}:{now.timestamp()}".encode(errors="surrogateescape")).hexdigest()[:32]
    facts = CoreFacts(
        identity=identity,
        identity_from=IdentityFrom.FILE,
        crashed_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
        size=0,
        truncated=False,
        process=Process(),
        signal=None,
        objects=(),
    )
    return ClaimRecord(facts, directory, name, DiscoveredBy.EVENT, inode=0, copied=True, loss=_LOST_IN_PRIVATE_TMP)


def lost_before_copy(record: ClaimRecord) -> ClaimRecord:
    """Return the record of a claim whose private copy was never made, marked as lost."""
    return replace(record, loss=_LOST_BEFORE_COPY)


def forget_claims(claims: Claims, lost: Collection[str]) -> list[ClaimRecord]:
    """Remove the records of claims whose core was not found, and return them.

    A claim whose directory is missing is kept, since a disk may come back; but a private /tmp does not come back.
    """
    forgotten = []
    for crash_id in lost:
        record = claims.read_record(crash_id)
        if record is None or os.path.isdir(record.directory) or is_private_tmp(record.directory):
            claims.forget(crash_id)
            forgotten += [record] if record else []
    return forgotten


def is_still_there(record: ClaimRecord) -> bool:
    """Return whether the claimed file still exists under its name, maybe in a directory that is no longer watched."""
    try:
        return os.lstat(record.path).st_ino == record.inode
    except OSError:
        return False
