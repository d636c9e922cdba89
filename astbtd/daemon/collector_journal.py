"""Metadata about a crash from the journal entry of the collector that stored its core, such as systemd-coredump."""

import time
from collections.abc import Callable
from itertools import islice

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.sources.collectors.collector import CollectorMetadata
from astbtd.sources.collectors.registry import find_collector

_WAIT = 30.0  # seconds that the entry is waited for: systemd-coredump logs a core after it has read it
_RECENT = 60.0  # seconds since a crash during which its entry may still appear
_MAX_ENTRIES = 256  # that are examined; any user may log entries that look alike


def find_metadata(
    claim: ClaimRecord, raise_if_stopping: Callable[[], None], has_queued: Callable[[], bool]
) -> CollectorMetadata | None:
    """Return the metadata that the collector of a core has logged; None if it logs nothing or there is no entry.

    An entry that is not there yet is waited for, but only as long as no other core is queued. `raise_if_stopping` is
    called while waiting, and may raise Interrupted.
    """
    collector = find_collector(claim.source)
    fields = collector.journal_match(claim.name) if collector else None
    if collector is None or fields is None:
        return None
    age = time.time() - claim.facts.crashed_at.timestamp()
    deadline = time.monotonic() + _WAIT

    def keep_waiting() -> bool:
        raise_if_stopping()
        return age < _RECENT and not has_queued() and time.monotonic() < deadline

    for entry in islice(systemd.entries(fields, keep_waiting), _MAX_ENTRIES):
        metadata = collector.parse_journal_entry(entry, claim.name)
        if metadata is not None:
            return metadata
    return None
