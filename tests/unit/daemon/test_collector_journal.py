"""Metadata from the journal entry of a collector, and how long that entry is waited for."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.daemon.collector_journal import find_metadata
from astbtd.errors import Interrupted
from astbtd.model.crash import Source
from astbtd.sources.collectors import collector as collecting
from astbtd.sources.collectors.systemd_coredump import MESSAGE_ID
from tests.support.builders import NOON, claim

NAME = f"core.asterisk.110.{'0f' * 16}.4242.1795388813000000"
ENTRY = {
    "MESSAGE_ID": MESSAGE_ID,
    "_SYSTEMD_UNIT": "systemd-coredump@1-2-0.service",
    "COREDUMP_FILENAME": f"/var/lib/systemd/coredump/{NAME}",
    "COREDUMP_CMDLINE": "/usr/sbin/asterisk -g",
    "COREDUMP_CWD": "/var/lib/asterisk",
}
FORGED = {**ENTRY, "_SYSTEMD_UNIT": "user@1000.service", "COREDUMP_CWD": "/evil"}
METADATA = collecting.CollectorMetadata(command_line="/usr/sbin/asterisk -g", cwd="/var/lib/asterisk")


@dataclass
class Journal:
    """A journal with entries that are there already, and others that arrive one by one while it is waited for."""

    present: list[dict[str, str]] = field(default_factory=list)
    later: list[dict[str, str]] = field(default_factory=list)
    queried: Mapping[str, str] = field(default_factory=dict)
    waits: int = 0

    def entries(self, fields: Mapping[str, str], keep_waiting: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
        self.queried = fields
        yield from self.present
        while keep_waiting():
            self.waits += 1
            if self.later:
                yield self.later.pop(0)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()
    monkeypatch.setattr(systemd, "entries", journal.entries)
    return journal


def kept(source: str = "systemd-coredump", at: datetime | None = None) -> ClaimRecord:
    """The note of a core that crashed just now, unless said otherwise."""
    note = claim(1).record
    facts = replace(note.facts, crashed_at=at or datetime.fromtimestamp(time.time(), UTC))
    return replace(note, name=NAME, source=source, facts=facts)


def find(note: ClaimRecord, *, has_queued: bool = False) -> collecting.CollectorMetadata | None:
    return find_metadata(note, lambda: None, lambda: has_queued)


def test_a_present_entry_is_found_without_waiting(journal: Journal) -> None:
    journal.present = [ENTRY]

    assert (find(kept()), journal.waits) == (METADATA, 0)
    assert journal.queried["COREDUMP_PID"] == "4242"


def test_an_entry_that_arrives_later_is_waited_for(journal: Journal) -> None:
    journal.later = [ENTRY]

    assert find(kept()) == METADATA


def test_a_forged_entry_does_not_end_the_wait(journal: Journal) -> None:
    journal.present, journal.later = [FORGED], [FORGED, ENTRY]

    assert find(kept()) == METADATA


def test_a_flood_of_forged_entries_ends_the_search(journal: Journal) -> None:
    journal.present = 1000 * [FORGED]

    assert (find(kept()), journal.waits) == (None, 0)


def test_an_entry_is_not_waited_for_while_another_core_is_queued(journal: Journal) -> None:
    journal.later = [ENTRY]

    assert (find(kept(), has_queued=True), journal.waits) == (None, 0)
    journal.present = [ENTRY]
    assert find(kept(), has_queued=True) == METADATA


def test_the_entry_of_an_old_crash_is_not_waited_for(journal: Journal) -> None:
    assert (find(kept(at=NOON.replace(year=2020))), journal.waits) == (None, 0)


def test_stopping_the_daemon_interrupts_the_wait(journal: Journal) -> None:
    def stop() -> None:
        raise Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        find_metadata(kept(), stop, lambda: False)
    assert journal.waits == 0


@pytest.mark.parametrize("source", [Source.FILE, "apport", "abrt"])
def test_the_journal_is_not_queried_for_collectors_that_log_nothing(journal: Journal, source: str) -> None:
    journal.present = [ENTRY]

    assert (find(kept(source)), journal.queried) == (None, {})
