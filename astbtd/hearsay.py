"""What others than the core itself tell of a crash."""

import time
from collections.abc import Callable

from astbtd.announce import systemd
from astbtd.intake.claim import Note
from astbtd.intake.collectors import systemd_coredump
from astbtd.intake.collectors.collector import Testimony
from astbtd.model import Source

_JOURNAL_LATER = 30.0  # seconds for systemd-coredump, which logs a core after it has read it
_RECENT = 60.0  # seconds since a crash while its entry may still come


def heard_of(note: Note, stopped: Callable[[], None]) -> Testimony | None:
    """What the journal tells of a core that systemd-coredump keeps; `stopped` may raise while it is waited for."""
    if note.source is not Source.SYSTEMD_COREDUMP:
        return None
    age = time.time() - note.facts.crashed_at.timestamp()
    seconds = _JOURNAL_LATER if age < _RECENT else 0.0
    entries = systemd.entries(systemd_coredump.entry_of(note.name), seconds, stopped)
    return next(filter(None, (systemd_coredump.told_by_journal(entry, note.name) for entry in entries)), None)
