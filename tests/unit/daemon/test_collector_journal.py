"""Metadata from the journal entry of a collector, which may arrive after the crash was recorded."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astbtd.announce import systemd
from astbtd.claims.claim import ClaimRecord
from astbtd.daemon.collector_journal import LateMetadata, find_metadata
from astbtd.model.crash import Crash, Source
from astbtd.sources.collectors import collector as collecting
from astbtd.sources.collectors.systemd_coredump import MESSAGE_ID
from astbtd.store.store import Store
from tests.support.builders import claim, crash

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
    """A journal with entries. `queried` are the fields of the last query."""

    present: list[dict[str, str]] = field(default_factory=list)
    queried: Mapping[str, str] = field(default_factory=dict)

    def entries(self, fields: Mapping[str, str], keep_waiting: Callable[[], bool]) -> Iterator[Mapping[str, object]]:
        self.queried = fields
        yield from self.present
        assert not keep_waiting()


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()
    monkeypatch.setattr(systemd, "entries", journal.entries)
    return journal


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def kept(source: str = "systemd-coredump") -> ClaimRecord:
    """The claim record of a core that a collector has kept."""
    return replace(claim(1).record, name=NAME, source=source)


def recorded(store: Store, source: str = "systemd-coredump", age: float = 0.0) -> Crash:
    """Record a crash of which the working directory is unknown, and return its record."""
    made = crash()
    core = replace(made.core, source=source, path=f"/var/lib/systemd/coredump/{NAME}")
    at = datetime.fromtimestamp(time.time() - age, UTC)
    made = replace(made, core=core, process=replace(made.process, cwd=None, command_line="asterisk"), crashed_at=at)
    store.commit(store.stage(made.id), made)
    return made


def test_a_present_entry_is_found(journal: Journal) -> None:
    journal.present = [FORGED, ENTRY]

    assert find_metadata(kept()) == METADATA
    assert journal.queried["COREDUMP_PID"] == "4242"


def test_a_missing_entry_is_not_waited_for(journal: Journal) -> None:
    journal.present = [FORGED]

    assert find_metadata(kept()) is None


def test_a_flood_of_forged_entries_ends_the_search(journal: Journal) -> None:
    journal.present = [*1000 * [FORGED], ENTRY]

    assert find_metadata(kept()) is None


@pytest.mark.parametrize("source", [Source.FILE, "apport", "abrt"])
def test_the_journal_is_not_queried_for_collectors_that_log_nothing(journal: Journal, source: str) -> None:
    journal.present = [ENTRY]

    assert (find_metadata(kept(source)), journal.queried) == (None, {})


def test_an_entry_that_arrives_after_the_crash_was_recorded_completes_the_record(
    journal: Journal, store: Store
) -> None:
    late = LateMetadata(store)
    made = recorded(store)
    late.expect(made)
    late.add_found()
    assert late.is_awaited
    assert store.load(made.id).process.cwd is None

    journal.present = [FORGED, ENTRY]
    late.add_found()

    assert not late.is_awaited
    process = store.load(made.id).process
    assert (process.cwd, process.command_line) == ("/var/lib/asterisk", "/usr/sbin/asterisk -g")


def test_an_entry_is_waited_for_across_a_restart(journal: Journal, store: Store) -> None:
    made = recorded(store)
    after_restart = LateMetadata(store)

    after_restart.resume()
    journal.present = [ENTRY]
    after_restart.add_found()

    assert store.load(made.id).process.cwd == "/var/lib/asterisk"


def test_foreign_crashes_do_not_keep_one_of_the_pbx_from_being_waited_for(journal: Journal, store: Store) -> None:
    late = LateMetadata(store)
    made = recorded(store)
    for number in range(200):
        late.expect(replace(made, id=f"20261122T120000Z-{number}-0a1b2c", foreign=True))

    late.expect(made)
    journal.present = [ENTRY]
    late.add_found()

    assert store.load(made.id).process.cwd == "/var/lib/asterisk"


@pytest.mark.parametrize(("source", "age"), [(Source.FILE, 0.0), ("apport", 0.0), ("systemd-coredump", 3600.0)])
def test_nothing_is_awaited_of_collectors_that_log_nothing_nor_about_old_crashes(
    store: Store, source: str, age: float
) -> None:
    late = LateMetadata(store)

    late.expect(recorded(store, source, age))

    assert not late.is_awaited


@pytest.mark.usefixtures("journal")
def test_an_entry_that_does_not_arrive_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    late = LateMetadata(store)
    late.expect(recorded(store))

    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    late.add_found()

    assert not late.is_awaited


def test_the_record_of_a_crash_that_was_removed_meanwhile_is_not_completed(journal: Journal, store: Store) -> None:
    late = LateMetadata(store)
    made = recorded(store)
    late.expect(made)
    store.remove(made.id)
    journal.present = [ENTRY]

    late.add_found()

    assert not late.is_awaited
