"""What others than the core itself tell of a crash."""

import time
from collections.abc import Callable
from itertools import islice

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.model.crash import Source
from astbtd.sources.collectors import systemd_coredump
from astbtd.sources.collectors.collector import CollectorMetadata

_JOURNAL_LATER = 30.0  # seconds for systemd-coredump, which logs a core after it has read it
_RECENT = 60.0  # seconds since a crash while its entry may still come
_MOST_ENTRIES = 256  # that are looked at; any user may log some that look alike


def heard_of(
    note: ClaimRecord, stopped: Callable[[], None], others_wait: Callable[[], bool]
) -> CollectorMetadata | None:
    """What the journal tells of a core that systemd-coredump keeps.

    What is not there yet is waited for as long as no other core is; `stopped` may raise meanwhile.
    """
    if note.source is not Source.SYSTEMD_COREDUMP:
        return None
    recent = time.time() - note.facts.crashed_at.timestamp() < _RECENT
    deadline = time.monotonic() + _JOURNAL_LATER

    def goes_on() -> bool:
        stopped()
        return recent and not others_wait() and time.monotonic() < deadline

    entries = islice(systemd.entries(systemd_coredump.entry_of(note.name), goes_on), _MOST_ENTRIES)
    return next(filter(None, (systemd_coredump.told_by_journal(entry, note.name) for entry in entries)), None)
