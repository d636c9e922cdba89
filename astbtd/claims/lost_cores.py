"""Claim records for cores that vanished before they could be read, with advice how to keep the next one."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from astbtd.asterisk.asterisk_processes import is_private_tmp
from astbtd.claims.claim import Claim, Claims
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


class LostClaims:
    """Claims whose core was not found: never completed, or already released except for their record.

    `ids` are those whose record exists. Once it is removed, a scan claims a core that still exists anew.
    """

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._forgotten: list[ClaimRecord] = []

    def __bool__(self) -> bool:
        return bool(self.ids or self._forgotten)

    def forget(self, claims: Claims) -> None:
        """Remove the records.

        A claim whose directory is missing is kept, since a disk or a file server may come back; but a private /tmp
        does not come back.
        """
        for crash_id in self.ids:
            record = claims.read_record(crash_id)
            if record is None or os.path.isdir(record.directory) or is_private_tmp(record.directory):
                claims.forget(crash_id)
                self._forgotten += [record] if record else []

    def claim_cores(self, claims: Claims, is_claimed: Callable[[set[str]], bool]) -> Iterator[Claim]:
        """Claim the cores that vanished before they were copied. `is_claimed` tells it of any of some identities.

        Raises AstbtdError if a claim cannot be recorded now. The next call goes on with that.
        """
        while self._forgotten:
            record = self._forgotten[-1]
            exists = is_claimed({record.facts.identity, record.packed or record.facts.identity})
            is_lost = record.copied and not exists and not _is_still_there(record)
            claim = claims.claim_lost_core(replace(record, loss=_LOST_BEFORE_COPY)) if is_lost else None
            self._forgotten.pop()
            if claim:
                yield claim


def _is_still_there(record: ClaimRecord) -> bool:
    """Return whether the claimed file still exists under its name, maybe in a directory that is no longer watched."""
    try:
        return os.lstat(record.path).st_ino == record.inode
    except OSError:
        return False
