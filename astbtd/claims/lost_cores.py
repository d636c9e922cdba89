"""Crashes whose core is gone before it could be read: what is known of them, and what saves the next one."""

import hashlib
import os
from datetime import UTC, datetime

from astbtd.claims.claim_file import ClaimRecord
from astbtd.model.crash import CoreFacts, DiscoveredBy, IdentityFrom, LostCore, Process

SWEPT_AWAY = LostCore(
    "The core is lost: it was in the private /tmp of Asterisk's service, and went with it before it could be opened.",
    "Let cores go where they stay: either `systemctl edit asterisk.service`, there `[Service]` and `PrivateTmp=no`; "
    "or a directory that Asterisk can write to, `sysctl -w kernel.core_pattern=/var/spool/asterisk/core.%e.%p`.",
)
NEVER_COPIED = LostCore(
    "The core is lost: astbtd was interrupted before it had made its copy, and now the core is gone.",
    "See in `journalctl -u astbtd` what interrupted it.",
)


def swept_away(directory: str, name: str) -> ClaimRecord:
    """The note of a core that was made in `directory` just now, and of which no more is known."""
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
    return ClaimRecord(facts, directory, name, DiscoveredBy.EVENT, inode=0, copied=True, loss=SWEPT_AWAY)
