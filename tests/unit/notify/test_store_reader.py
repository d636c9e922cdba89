"""What is new in the store, and what was lost before it was seen."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, Crash, DiscoveredBy, ExtractionRun, Process, ReplacedRecord, Site
from astbtd.model.deadlock_capture import Finding
from astbtd.notify.events import Correction, EventKind
from astbtd.notify.loops import LoopSettings
from astbtd.notify.spool_state import ReaderState
from astbtd.notify.store_reader import MOST_FOREIGN, NewInStore, StoreReader
from astbtd.store.captures import Captures
from astbtd.store.retention.apply import carry_out
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.store.store import Store
from tests.support.builders import NOON, crash
from tests.support.deadlocks import capture
from tests.support.stores import commit, process

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LATER = NOON + timedelta(hours=2)


class Reading:
    """A store and its reader, pass after pass."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state = ReaderState()

    def read(self, now: datetime = LATER) -> NewInStore:
        reader = StoreReader(self.store, self.state, LoopSettings(3, 10 * MINUTE), now)
        found = reader.read()
        self.state = reader.state
        return found


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """A reader that has seen an empty store."""
    store = Store(tmp_path / "store")
    store.prepare()
    made = Reading(store)
    made.read(NOON)
    return made


def kinds(found: NewInStore) -> list[EventKind]:
    return [event.kind for event in found.events]


def ids(found: NewInStore) -> list[str]:
    return [each.crash.id for each in found.crashes]


def number(count: int, function: Callable[[int], Crash]) -> list[Crash]:
    return [function(each) for each in range(count)]


def other_site(minutes: float, pid: int = 4242) -> Crash:
    """Return a crash that is alone at its site and with its signature."""
    return crash(minutes, pid=pid, signature=f"{int(minutes * 10) + pid:012x}")


def test_each_crash_is_found_once_with_the_first_screen_of_its_report(reading: Reading) -> None:
    process(reading.store, crash())

    found = reading.read()

    assert kinds(found) == [EventKind.CRASH]
    assert found.events[0].title == "Asterisk crashed: fault in ast_bridge_join"
    assert found.events[0].body.startswith("Asterisk crashed: SIGSEGV (Segmentation fault, address 0x10) in ast_bridge")
    assert "When:      2026-11-22 12:00:00 UTC on pbx1" in found.events[0].body
    assert ids(found) == [crash().id]
    assert kinds(reading.read()) == []


def test_crashes_are_found_by_crash_time_not_by_the_order_of_processing(reading: Reading) -> None:
    commit(reading.store, other_site(30), other_site(1), other_site(60))

    assert ids(reading.read()) == [other_site(minutes).id for minutes in (1, 30, 60)]


def test_at_the_first_pass_everything_is_old_for_people(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.prepare()
    commit(store, other_site(1), other_site(2), crash(-60 * 24 * 40))

    found = Reading(store).read()

    assert set(kinds(found)) == {EventKind.OLD_CORE}
    assert len(found.events) == 3
    assert ids(found) == [other_site(1).id, other_site(2).id], "trackers drop what is older than thirty days"
    assert found.lost == 0


def test_a_core_that_waited_for_the_start_is_old_if_it_waited_for_an_hour(reading: Reading) -> None:
    def waited(minutes: float, pid: int) -> Crash:
        one = other_site(minutes, pid)
        core = replace(one.core, found=DiscoveredBy.START)
        return replace(one, core=core, collected_at=one.crashed_at + minutes * MINUTE)

    commit(reading.store, waited(59, 1), waited(61, 2))

    assert kinds(reading.read()) == [EventKind.CRASH, EventKind.OLD_CORE]


def test_a_loop_is_one_event_at_its_start_and_one_at_its_end(reading: Reading) -> None:
    for each in number(5, crash):
        process(reading.store, each)

    started = reading.read(NOON + 5 * MINUTE)
    ended = reading.read(NOON + 20 * MINUTE)

    assert kinds(started) == [EventKind.CRASH, EventKind.CRASH, EventKind.LOOP_STARTED]
    assert len(started.crashes) == 3, "those before the loop was known are sent one by one"
    assert kinds(ended) == [EventKind.LOOP_ENDED]
    assert [change.loop.uncounted for change in ended.loops] == [2]
    assert "5 crashes until" in ended.events[0].body


def test_a_loop_that_began_and_ended_between_two_passes_is_counted_too(reading: Reading) -> None:
    for each in [*number(5, crash), crash(60)]:
        process(reading.store, each)

    found = reading.read()

    assert EventKind.LOOP_STARTED in kinds(found)
    assert EventKind.LOOP_ENDED in kinds(found)
    assert len(found.crashes) + sum(change.loop.uncounted for change in found.loops) == 6


def test_foreign_crashes_are_no_loop_and_few_are_sent(reading: Reading) -> None:
    commit(reading.store, *(replace(crash(minute / 10, pid=minute), foreign=True) for minute in range(1, 31)))

    found = reading.read()

    assert set(kinds(found)) == {EventKind.FOREIGN_CRASH}
    assert len(found.events) == 30
    assert len(found.crashes) == MOST_FOREIGN


def test_a_signature_that_a_repeated_extraction_corrected_is_notified_again(reading: Reading) -> None:
    process(reading.store, crash())
    reading.read()

    def correct(before: Crash) -> Crash:
        assert before.signature
        run = ExtractionRun(LATER, "symbols", 0.9, before.diagnosis.verdict)
        signature = replace(before.signature, id="ba9876543210")
        return replace(before, signature=signature, extraction_history=(run,))

    reading.store.change(crash().id, correct)
    found = reading.read(datetime.now(LATER.tzinfo))

    assert [each.corrects for each in found.crashes] == ["0123456789ab"]
    assert [event.correction for event in found.events] == [Correction.EXTRACTION]
    assert found.lost == 0


def without_core(minutes: float, site: str | None = "logged") -> Crash:
    """Return a death of which no core was found."""
    made = crash(minutes, identity=f"d{int(minutes * 10):031x}", state=CoreState.NONE)
    return replace(made, signature=None, process=Process(4242), site=Site(site) if site else None)


def record_core(store: Store, death: Crash, minutes: float, pid: int = 4242) -> Crash:
    """Record the core of a death that is recorded without it, as the daemon does."""
    replaced = ReplacedRecord(death.id, death.site.id if death.site else None)
    with_core = replace(crash(minutes, pid=pid), replaces=replaced)
    process(store, with_core)
    store.remove(death.id)
    return with_core


def test_a_core_that_is_found_after_its_death_was_notified_is_no_second_crash(reading: Reading) -> None:
    death = without_core(0)
    commit(reading.store, death)
    reading.read()
    with_core = record_core(reading.store, death, 0.1)

    found = reading.read()

    assert [(each.crash.id, each.corrects) for each in found.crashes] == [(with_core.id, "")]
    assert [event.correction for event in found.events] == [Correction.LATE_CORE]
    assert [found.lost, reading.read().crashes] == [0, []]


def test_a_core_that_is_found_before_its_death_was_notified_is_a_first_crash(reading: Reading) -> None:
    death = without_core(0)
    commit(reading.store, death)
    record_core(reading.store, death, 0.1)

    found = reading.read()

    assert [each.corrects for each in found.crashes] == [None]
    assert [event.correction for event in found.events] == [None]
    assert found.lost == 0


def test_a_death_and_its_core_that_are_found_together_are_one_crash(reading: Reading) -> None:
    """The record without the core is removed a moment after the other one is there."""
    death = without_core(0)
    with_core = record_core(reading.store, death, 0.1)
    commit(reading.store, death)

    found = reading.read()
    reading.store.remove(death.id)

    assert [(each.crash.id, each.corrects) for each in found.crashes] == [(with_core.id, None)]
    assert reading.read().crashes == []


def test_a_record_that_is_replaced_while_the_store_is_listed_is_no_second_crash(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    death = without_core(0)
    commit(reading.store, death)
    reading.read()
    listing = reading.store.ids

    def list_while_replaced(store: Store) -> list[str]:
        monkeypatch.undo()
        record_core(store, death, 0.1)
        return [crash_id for crash_id in listing() if crash_id == death.id]

    monkeypatch.setattr(Store, "ids", list_while_replaced)

    assert [each.corrects for each in reading.read().crashes] == [""]


def test_a_replacing_record_that_retention_removed_unseen_is_no_gap_if_its_death_was_notified(reading: Reading) -> None:
    told, untold = without_core(0), without_core(20)
    commit(reading.store, told)
    reading.read()
    commit(reading.store, untold)
    retain(reading.store, record_core(reading.store, told, 0.1), record_core(reading.store, untold, 20.1))

    assert reading.read().lost == 1


@pytest.mark.parametrize("site", ["logged", None])
def test_deaths_whose_cores_are_found_later_are_one_loop_in_which_nothing_counts_twice(
    reading: Reading, site: str | None
) -> None:
    deaths = [without_core(minute, site) for minute in range(5)]
    counts = []
    for minute, death in enumerate(deaths):
        commit(reading.store, death)
        counts.append(reading.read(NOON + minute * MINUTE))
        record_core(reading.store, death, minute + 0.1)
        counts.append(reading.read(NOON + (minute + 0.5) * MINUTE))
    counts.append(reading.read())

    events = [event.kind for found in counts for event in found.events]
    assert [events.count(kind) for kind in (EventKind.LOOP_STARTED, EventKind.LOOP_ENDED)] == [1, 1]
    first = [each for found in counts for each in found.crashes if each.corrects is None]
    assert [len(first), [found.loops for found in counts if found.loops]] == [len(deaths), []]


def test_a_signature_that_changed_with_the_rules_is_not_notified_again(reading: Reading) -> None:
    process(reading.store, crash())
    reading.read()

    def resign(before: Crash) -> Crash:
        assert before.signature
        return replace(before, signature=replace(before.signature, id="ba9876543210"))

    reading.store.change(crash().id, resign)

    assert kinds(reading.read(datetime.now(LATER.tzinfo))) == []


def test_crashes_that_were_removed_unseen_are_counted(reading: Reading) -> None:
    for minute in (0, 20, 40, 60):
        process(reading.store, crash(minute))
    reading.read()
    for minute in (80, 100, 120):
        process(reading.store, crash(minute))
    for minute in (80, 100):
        reading.store.remove(crash(minute).id)

    assert reading.read(NOON + DAY).lost == 2
    process(reading.store, crash(140))
    assert reading.read(NOON + DAY).lost == 0


def ungrouped(minutes: float) -> Crash:
    """Return a crash without signature and without site."""
    return replace(crash(minutes), signature=None, site=None)


def retain(store: Store, *removed: Crash) -> None:
    """Have retention remove the records of these crashes."""
    removals = [Removal(each.id, RemovedPart.RECORD, 0, "too old") for each in removed]
    carry_out(store, removals, LATER, lambda _: None)


def test_a_crash_without_signature_that_retention_removed_unseen_is_counted(reading: Reading) -> None:
    commit(reading.store, *map(ungrouped, (0, 20, 40)))
    reading.read()
    commit(reading.store, *map(ungrouped, (60, 80)))

    retain(reading.store, *map(ungrouped, (0, 60, 80)))

    assert [reading.read().lost for _ in range(2)] == [2, 0]


def test_a_crash_with_signature_that_retention_removed_unseen_is_counted_once(reading: Reading) -> None:
    process(reading.store, crash(0))
    reading.read()
    for minute in (20, 40):
        process(reading.store, crash(minute))
    retain(reading.store, crash(20), crash(40))
    assert reading.read().lost == 2

    process(reading.store, crash(60))

    assert reading.read().lost == 0


def test_what_retention_removed_before_the_first_pass_is_no_gap(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.prepare()
    commit(store, ungrouped(0))
    retain(store, ungrouped(0))

    assert [Reading(store).read().lost for _ in range(2)] == [0, 0]


def test_foreign_crashes_that_were_removed_unseen_are_not_counted(reading: Reading) -> None:
    foreign = replace(ungrouped(0), foreign=True)
    commit(reading.store, foreign)
    retain(reading.store, foreign)

    assert reading.read().lost == 0


def test_an_older_core_that_comes_late_is_no_gap(reading: Reading) -> None:
    for minute in (20, 40):
        process(reading.store, crash(minute))
    reading.read()
    process(reading.store, crash(0))
    assert reading.read().lost == 0
    process(reading.store, crash(60))

    assert reading.read().lost == 0


def test_a_damaged_record_is_counted_once_and_stops_nothing(reading: Reading) -> None:
    commit(reading.store, other_site(1), other_site(2))
    (reading.store.directory(other_site(1).id) / "crash.json").write_text("{")

    found = reading.read()

    assert (found.lost, ids(found)) == (1, [other_site(2).id])
    assert reading.read().lost == 0


def test_a_record_that_can_be_read_later_is_notified_then(reading: Reading) -> None:
    commit(reading.store, other_site(1))
    record = reading.store.directory(other_site(1).id) / "crash.json"
    record.rename(record.with_name("away"))
    assert ids(reading.read()) == []

    record.with_name("away").rename(record)

    assert ids(reading.read()) == [other_site(1).id]
    assert ids(reading.read()) == []


def test_a_captured_deadlock_is_found_once_and_a_capture_of_a_healthy_asterisk_never(reading: Reading) -> None:
    captures = Captures(reading.store.root)
    captures.prepare()
    hanging = replace(capture(), finding=Finding.DEADLOCK)
    healthy = replace(capture(), id="20261122T130000Z-1-000000", finding=Finding.NONE)
    for each in (hanging, healthy):
        captures.commit(captures.stage(each.id), each, keep=5)

    found = reading.read()

    assert [(event.kind, event.key) for event in found.events] == [(EventKind.DEADLOCK, hanging.id)]
    assert "restart Asterisk" in found.events[0].body
    assert kinds(reading.read()) == []
