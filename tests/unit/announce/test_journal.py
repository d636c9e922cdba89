"""Journal entries: one line each, whatever names are in the memory of the crashed process."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Event, Priority
from astbtd.errors import AstbtdError, BadConfiguration
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import CoreState, ExtractionOutcome, ReplacedRecord
from astbtd.model.deadlock_capture import Finding
from tests.support.builders import ABORT, crash
from tests.support.deadlocks import capture
from tests.support.fixture_types import JournalEntry
from tests.support.harmless import harmless

FORGERIES = [
    "f\nMESSAGE_ID=forged",
    "f\r\nforged",
    "f\x1b[2J\x1b]0;owned\x07",
    "f\u202egnp.exe",
    "f\u2028forged",
    "f\x00forged",
    "f\x9b31m",
    "f\udcff",
]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[JournalEntry]:
    """The entries sent to the journal."""
    entries: list[JournalEntry] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: entries.append(entry))
    return entries


def test_a_crash_is_one_entry_with_signal_function_verdict_and_path(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(), "/srv/crashes/x")

    ((message, priority, _),) = sent
    assert message == "Asterisk crashed: SIGSEGV in ast_bridge_join; backtrace usable: /srv/crashes/x"
    assert priority == 2


def test_a_lost_core_is_reported_instead_of_a_backtrace(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(state=CoreState.LOST), "/srv/crashes/x")

    ((message, _, _),) = sent
    assert message == "Asterisk crashed, but its core /srv/core is lost: /srv/crashes/x"


def test_a_crash_has_the_documented_fields(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(), "/srv/crashes/x")

    fields = sent[0][2]
    record = fields.pop("ASTBTD_RECORD")
    assert json.loads(record) == to_plain(crash())
    assert fields == {
        "MESSAGE_ID": "308e4492d2224abeb4594329b574afc9",
        "ASTBTD_ID": crash().id,
        "ASTBTD_SIGNATURE": "0123456789ab",
        "ASTBTD_SIGNAL": "SIGSEGV",
        "ASTBTD_CRASH_FUNCTION": "ast_bridge_join",
        "ASTBTD_VERDICT": "usable",
        "ASTBTD_OCCURRENCE": "1",
        "ASTBTD_REPLACES": "",
        "ASTBTD_WHAT": "SIGSEGV in ast_bridge_join",
        "ASTBTD_SEEN": "for the first time (signature 0123456789ab)",
        "ASTBTD_PATH": "/srv/crashes/x",
    }


def test_a_crash_that_was_announced_without_its_core_names_that_entry(sent: list[JournalEntry]) -> None:
    journal.announce_crash(replace(crash(), replaces=ReplacedRecord("the-death")), "/srv/crashes/x")

    message, _, fields = sent[0]
    assert message.endswith(" (announced before without its core, as the-death)")
    assert fields["ASTBTD_REPLACES"] == "the-death"


def test_an_unknown_signal_and_function_are_named_as_such(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(signal=None, function=None), "/x")

    message, _, fields = sent[0]
    assert message.startswith("Asterisk crashed: an unknown signal in an unknown function")
    assert (fields["ASTBTD_SIGNAL"], fields["ASTBTD_CRASH_FUNCTION"]) == ("", "")
    assert fields["ASTBTD_WHAT"] == "an unknown signal in an unknown function"


def test_a_crash_that_is_not_grouped_leaves_no_blank(sent: list[JournalEntry]) -> None:
    journal.announce_crash(replace(crash(), signature=None), "/x")

    assert sent[0][2]["ASTBTD_SEEN"] == "not grouped with other crashes: no frame tells them apart"


@pytest.mark.parametrize("finding", [Finding.STUCK, Finding.NONE, Finding.UNKNOWN])
def test_only_a_deadlock_is_ended_by_a_restart(sent: list[JournalEntry], finding: Finding) -> None:
    journal.announce_deadlock(capture(finding=finding), "/x")
    journal.announce_deadlock(capture(finding=Finding.DEADLOCK), "/x")

    assert "itself: restart Asterisk" not in sent[0][2]["ASTBTD_ADVICE"]
    assert sent[1][2]["ASTBTD_ADVICE"] == "A deadlock does not end by itself: restart Asterisk."


def test_a_capture_that_found_nothing_gives_no_reason_to_restart(sent: list[JournalEntry]) -> None:
    journal.announce_deadlock(capture(finding=Finding.NONE), "/x")

    assert "no reason to restart" in sent[0][2]["ASTBTD_ADVICE"]


def test_a_failed_extraction_is_a_second_entry_with_the_reason(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(ended=ExtractionOutcome.TIMEOUT, signal=ABORT), "/x")

    assert [entry[2]["MESSAGE_ID"] for entry in sent] == [Event.CRASH_COLLECTED.value, Event.EXTRACTION_FAILED.value]
    assert sent[1][0] == f"gdb did not finish (timeout) on crash {crash().id}: cut after 200 frames"


def test_cores_from_earlier_crashes_are_one_entry_with_all_ids(sent: list[JournalEntry]) -> None:
    journal.announce_earlier_crashes([crash(1).id, crash(2).id], "/srv/store")

    ((message, _, fields),) = sent
    assert message == "collected 2 cores from earlier crashes; see astbtd list"
    assert fields["ASTBTD_ID"] == f"{crash(1).id} {crash(2).id}"


def test_a_single_core_from_an_earlier_crash_is_singular(sent: list[JournalEntry]) -> None:
    journal.announce_earlier_crashes([crash(1).id], "/srv/store")

    assert sent[0][0] == "collected 1 core from an earlier crash; see astbtd list"


def test_a_rejected_configuration_is_reported_with_its_first_error(sent: list[JournalEntry]) -> None:
    error = BadConfiguration("/etc/astbtd.yaml", ["gdb.time: must be a duration", "store: must be an absolute path"])

    journal.announce_rejected_configuration(error)

    assert sent[0][0] == (
        "configuration rejected, keeping the previous one: 2 errors, first: gdb.time: must be a duration; "
        "run astbtd check-config"
    )


@pytest.mark.parametrize(("finding", "priority"), [(Finding.DEADLOCK, 2), (Finding.STUCK, 4), (Finding.NONE, 4)])
def test_a_deadlock_capture_is_one_entry_with_its_record(
    sent: list[JournalEntry], finding: Finding, priority: int
) -> None:
    record = capture(finding=finding)

    journal.announce_deadlock(record, "/srv/deadlocks/x")

    assert [(message, level) for message, level, _ in sent] == [
        (f"captured Asterisk: {record.summary}; paused for 21 ms in total: /srv/deadlocks/x", priority)
    ]
    ((_, _, fields),) = sent
    assert json.loads(fields.pop("ASTBTD_RECORD")) == to_plain(record)
    assert fields.pop("ASTBTD_ADVICE")
    assert fields == {
        "MESSAGE_ID": Event.DEADLOCK_CAPTURED.value,
        "ASTBTD_ID": record.id,
        "ASTBTD_FINDING": finding.value,
        "ASTBTD_PATH": "/srv/deadlocks/x",
    }


@pytest.mark.parametrize(
    ("announce", "event"),
    [
        (lambda text: journal.announce_refused_core(text, text), Event.CORE_REFUSED),
        (journal.announce_retention, Event.RETENTION_REMOVED),
        (lambda text: journal.announce_rejected_configuration(AstbtdError(text)), Event.CONFIGURATION_REJECTED),
        (lambda text: journal.announce_failed_check(text, text, text), Event.CHECK_FAILED),
    ],
)
def test_every_event_has_its_own_id_and_is_one_line(
    sent: list[JournalEntry], announce: Callable[[str], None], event: Event
) -> None:
    announce("a\nMESSAGE=b")

    ((message, _, fields),) = sent
    assert fields["MESSAGE_ID"] == event.value
    assert r"a\nMESSAGE=b" in message
    assert all(harmless(value) for value in (message, *fields.values()))


def test_a_log_message_has_no_message_id(sent: list[JournalEntry]) -> None:
    journal.log("configuration\nreloaded")

    assert sent == [(r"configuration\nreloaded", 6, {})]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_name_from_the_core_cannot_forge_fields(sent: list[JournalEntry], name: str) -> None:
    journal.announce_crash(crash(function=name), f"/srv/{name}")

    message, _, fields = sent[0]
    assert all(harmless(value) for value in (message, *fields.values()))
    assert fields["ASTBTD_CRASH_FUNCTION"].startswith("f\\")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text())
def test_no_name_causes_a_second_line(sent: list[JournalEntry], name: str) -> None:
    journal.announce_crash(replace(crash(function=name), host=name), name)

    message, _, fields = sent[-1]
    assert all(harmless(value) for value in (message, *fields.values()))
    assert json.loads(fields["ASTBTD_RECORD"])["host"] == name


def test_a_long_value_is_truncated(sent: list[JournalEntry]) -> None:
    journal.announce_crash(crash(function="f" * 1_000_000), "/x")

    assert len(sent[0][0]) <= 4096
    assert len(sent[0][2]["ASTBTD_CRASH_FUNCTION"]) <= 4096


def test_message_ids_are_unique_128_bit_numbers() -> None:
    ids = {event.value for event in Event}

    assert len(ids) == len(Event)
    assert all(len(bytes.fromhex(number)) == 16 for number in ids)


def test_a_foreign_crash_is_not_called_a_crash_of_asterisk(sent: list[JournalEntry]) -> None:
    journal.announce_foreign_crash(replace(crash(), foreign=True), "/store/1")

    ((message, priority, fields),) = sent
    assert message.startswith("a foreign program crashed, not the PBX: /usr/sbin/asterisk, user id 110, SIGSEGV in")
    assert "Asterisk crashed" not in message
    assert priority is Priority.NOTICE
    assert fields["MESSAGE_ID"] == Event.FOREIGN_CRASH_COLLECTED.value
    assert json.loads(fields["ASTBTD_RECORD"])["foreign"] is True
