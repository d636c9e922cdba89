"""What is heard of a core that systemd-coredump keeps, and for how long that is waited for."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.daemon.coredump_journal import heard_of
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
TOLD = collecting.CollectorMetadata(command_line="/usr/sbin/asterisk -g", cwd="/var/lib/asterisk")


@dataclass
class Journal:
    """A journal with entries that are there, and others that come one at each look."""

    there: list[dict[str, str]] = field(default_factory=list)
    later: list[dict[str, str]] = field(default_factory=list)
    asked_for: Mapping[str, str] = field(default_factory=dict)
    looks: int = 0

    def entries(self, fields: Mapping[str, str], goes_on: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
        self.asked_for = fields
        yield from self.there
        while goes_on():
            self.looks += 1
            if self.later:
                yield self.later.pop(0)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()
    monkeypatch.setattr(systemd, "entries", journal.entries)
    return journal


def kept(source: Source = Source.SYSTEMD_COREDUMP, at: datetime | None = None) -> ClaimRecord:
    """The note of a core that crashed just now, unless said otherwise."""
    note = claim(1).note
    facts = replace(note.facts, crashed_at=at or datetime.fromtimestamp(time.time(), UTC))
    return replace(note, name=NAME, source=source, facts=facts)


def heard(note: ClaimRecord, *, others_wait: bool = False) -> collecting.CollectorMetadata | None:
    return heard_of(note, lambda: None, lambda: others_wait)


def test_an_entry_that_is_there_is_not_waited_for(journal: Journal) -> None:
    journal.there = [ENTRY]

    assert (heard(kept()), journal.looks) == (TOLD, 0)
    assert journal.asked_for["COREDUMP_PID"] == "4242"


def test_an_entry_that_comes_later_is_waited_for(journal: Journal) -> None:
    journal.later = [ENTRY]

    assert heard(kept()) == TOLD


def test_what_looks_like_the_entry_does_not_end_the_wait(journal: Journal) -> None:
    journal.there, journal.later = [FORGED], [FORGED, ENTRY]

    assert heard(kept()) == TOLD


def test_a_flood_of_what_looks_like_the_entry_does(journal: Journal) -> None:
    journal.there = 1000 * [FORGED]

    assert (heard(kept()), journal.looks) == (None, 0)


def test_nothing_is_waited_for_while_another_core_waits(journal: Journal) -> None:
    journal.later = [ENTRY]

    assert (heard(kept(), others_wait=True), journal.looks) == (None, 0)
    journal.there = [ENTRY]
    assert heard(kept(), others_wait=True) == TOLD


def test_of_an_old_crash_the_entry_is_there_or_never_comes(journal: Journal) -> None:
    assert (heard(kept(at=NOON.replace(year=2020))), journal.looks) == (None, 0)


def test_the_wait_ends_with_the_daemon(journal: Journal) -> None:
    def stopped() -> None:
        raise Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        heard_of(kept(), stopped, lambda: False)
    assert journal.looks == 0


@pytest.mark.parametrize("source", [Source.FILE, Source.APPORT, Source.ABRT])
def test_of_other_cores_the_journal_knows_nothing(journal: Journal, source: Source) -> None:
    journal.there = [ENTRY]

    assert (heard(kept(source)), journal.asked_for) == (None, {})
