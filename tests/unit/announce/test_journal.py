"""What the journal is told: once, on one line, whatever names a crashed process had in its memory."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Event
from astbtd.lib.serialization import plain
from astbtd.model.crash import CoreState, ExtractionOutcome
from tests.support.builders import ABORT, crash
from tests.support.harmless import harmless

JournalEntry = tuple[str, int, dict[str, str]]

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
    """The entries that journald would have got."""
    entries: list[JournalEntry] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: entries.append(entry))
    return entries


def test_a_crash_is_one_entry_that_tells_all_that_matters(sent: list[JournalEntry]) -> None:
    journal.crash(crash(), "/srv/crashes/x")

    ((message, priority, _),) = sent
    assert message == "Asterisk crashed: SIGSEGV in ast_bridge_join; backtrace usable: /srv/crashes/x"
    assert priority == 2


def test_a_lost_core_is_said_in_place_of_a_backtrace(sent: list[JournalEntry]) -> None:
    journal.crash(crash(state=CoreState.LOST), "/srv/crashes/x")

    ((message, _, _),) = sent
    assert message == "Asterisk crashed, and its core /srv/core is lost: /srv/crashes/x"


def test_the_fields_of_a_crash_are_those_that_are_documented(sent: list[JournalEntry]) -> None:
    journal.crash(crash(), "/srv/crashes/x")

    fields = sent[0][2]
    record = fields.pop("ASTBTD_RECORD")
    assert json.loads(record) == plain(crash())
    assert fields == {
        "MESSAGE_ID": "308e4492d2224abeb4594329b574afc9",
        "ASTBTD_ID": crash().id,
        "ASTBTD_SIGNATURE": "0123456789ab",
        "ASTBTD_SIGNAL": "SIGSEGV",
        "ASTBTD_CRASH_FUNCTION": "ast_bridge_join",
        "ASTBTD_VERDICT": "usable",
        "ASTBTD_OCCURRENCE": "1",
        "ASTBTD_PATH": "/srv/crashes/x",
    }


def test_what_is_unknown_is_said_to_be(sent: list[JournalEntry]) -> None:
    journal.crash(crash(signal=None, function=None), "/x")

    message, _, fields = sent[0]
    assert message.startswith("Asterisk crashed: an unknown signal in an unknown function")
    assert (fields["ASTBTD_SIGNAL"], fields["ASTBTD_CRASH_FUNCTION"]) == ("", "")


def test_an_extraction_that_failed_is_a_second_entry_with_the_reason(sent: list[JournalEntry]) -> None:
    journal.crash(crash(ended=ExtractionOutcome.TIMEOUT, signal=ABORT), "/x")

    assert [entry[2]["MESSAGE_ID"] for entry in sent] == [Event.CRASH_COLLECTED.value, Event.EXTRACTION_FAILED.value]
    assert sent[1][0] == f"gdb did not finish (timeout) on crash {crash().id}: cut after 200 frames"


def test_cores_that_had_been_waiting_are_one_entry_with_all_ids(sent: list[JournalEntry]) -> None:
    journal.waiting_cores([crash(1).id, crash(2).id], "/srv/store")

    ((message, _, fields),) = sent
    assert message.startswith("2 cores of earlier crashes had been waiting")
    assert fields["ASTBTD_ID"] == f"{crash(1).id} {crash(2).id}"


@pytest.mark.parametrize(
    ("say", "event"),
    [
        (lambda text: journal.refused(text, text), Event.CORE_REFUSED),
        (journal.retention, Event.RETENTION_REMOVED),
        (journal.configuration_rejected, Event.CONFIGURATION_REJECTED),
        (lambda text: journal.check_failed(text, text, text), Event.CHECK_FAILED),
    ],
)
def test_every_event_has_its_own_id_and_one_line(
    sent: list[JournalEntry], say: Callable[[str], None], event: Event
) -> None:
    say("a\nMESSAGE=b")

    ((message, _, fields),) = sent
    assert fields["MESSAGE_ID"] == event.value
    assert r"a\nMESSAGE=b" in message
    assert all(harmless(value) for value in (message, *fields.values()))


def test_a_note_is_no_event(sent: list[JournalEntry]) -> None:
    journal.note("configuration\nreloaded")

    assert sent == [(r"configuration\nreloaded", 6, {})]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_name_from_the_core_forges_nothing(sent: list[JournalEntry], name: str) -> None:
    journal.crash(crash(function=name), f"/srv/{name}")

    message, _, fields = sent[0]
    assert all(harmless(value) for value in (message, *fields.values()))
    assert fields["ASTBTD_CRASH_FUNCTION"].startswith("f\\")


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text())
def test_no_name_makes_a_second_line(sent: list[JournalEntry], name: str) -> None:
    journal.crash(replace(crash(function=name), host=name), name)

    message, _, fields = sent[-1]
    assert all(harmless(value) for value in (message, *fields.values()))
    assert json.loads(fields["ASTBTD_RECORD"])["host"] == name


def test_a_value_without_end_is_cut(sent: list[JournalEntry]) -> None:
    journal.crash(crash(function="f" * 1_000_000), "/x")

    assert len(sent[0][0]) <= 4096
    assert len(sent[0][2]["ASTBTD_CRASH_FUNCTION"]) <= 4096


def test_message_ids_are_unique_128_bit_numbers() -> None:
    ids = {event.value for event in Event}

    assert len(ids) == len(Event)
    assert all(len(bytes.fromhex(number)) == 16 for number in ids)
