"""Metadata about a crash from the journal entry of the collector that stored its core, such as systemd-coredump.

systemd-coredump logs a core after it has written it, and journald may need longer still. gdb does not wait for that:
what is missing when a crash is recorded is added to its record later.
"""

import os
import time
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.model.crash import Crash
from astbtd.sources.collectors.collector import CollectorMetadata
from astbtd.sources.collectors.registry import find_collector
from astbtd.store.store import DamagedRecord, Store

_RECENT = 300.0  # seconds since a crash during which its entry may still appear
_MAX_ENTRIES = 256  # that are examined; any user may log entries that look alike
_MAX_AWAITED = 100  # crashes; the entry of one more is not waited for
_MAX_FOREIGN = 20  # if so many crashes are awaited, no foreign one is added


def find_metadata(claim: ClaimRecord) -> CollectorMetadata | None:
    """Return the metadata that the collector of a core has logged by now, None if there is no entry."""
    return _find(claim.source, claim.name)


def _find(source: str, name: str) -> CollectorMetadata | None:
    collector = find_collector(source)
    fields = collector.journal_match(name) if collector else None
    if collector is None or fields is None:
        return None
    for entry in islice(systemd.entries(fields, lambda: False), _MAX_ENTRIES):
        metadata = collector.parse_journal_entry(entry, name)
        if metadata is not None:
            return metadata
    return None


@dataclass(frozen=True)
class _Awaited:
    """A crash whose collector has logged nothing yet, and the name of its core there."""

    crash_id: str
    source: str
    name: str
    until: float


class LateMetadata:
    """The crashes to whose records the metadata of their collectors is still to be added."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._awaited: list[_Awaited] = []

    @property
    def is_awaited(self) -> bool:
        """True if `add_found` is to be called now and then."""
        return bool(self._awaited)

    def expect(self, crash: Crash) -> None:
        """Wait for the entry about a crash that was just recorded, if its collector logs one and it is missing."""
        name = os.path.basename(crash.core.path)
        collector = find_collector(crash.core.source)
        remaining = crash.crashed_at.timestamp() + _RECENT - time.time()
        if collector is None or collector.journal_match(name) is None or crash.process.cwd is not None:
            return
        most = _MAX_FOREIGN if crash.foreign else _MAX_AWAITED
        if 0 < remaining <= _RECENT and len(self._awaited) < most:
            self._awaited.append(_Awaited(crash.id, crash.core.source, name, time.monotonic() + remaining))

    def resume(self) -> None:
        """Wait for the entries about recent crashes that an earlier daemon waited for."""
        since = time.time() - _RECENT
        for crash in takewhile(lambda each: each.crashed_at.timestamp() > since, self._store.crashes()):
            self.expect(crash)

    def add_found(self) -> None:
        """Add the metadata that has been logged since, and forget crashes whose time is over."""
        for awaited in list(self._awaited):
            if metadata := _find(awaited.source, awaited.name):
                _add(self._store, awaited.crash_id, metadata)
            if metadata or time.monotonic() > awaited.until:
                self._awaited.remove(awaited)


def _add(store: Store, crash_id: str, metadata: CollectorMetadata) -> None:
    def complete(crash: Crash) -> Crash:
        process = crash.process
        command_line, cwd = metadata.command_line or process.command_line, metadata.cwd or process.cwd
        return replace(crash, process=replace(process, command_line=command_line, cwd=cwd))

    try:
        store.change(crash_id, complete)
    except DamagedRecord:  # it was removed meanwhile
        return
