"""docs/log-shippers.md lists the fields of each event as the program sends them."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Event
from astbtd.errors import AstbtdError
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import ExtractionOutcome, ReplacedRecord
from astbtd.model.crash_loop import CrashLoop
from astbtd.model.deadlock_capture import Finding
from tests.support.builders import NOON, crash
from tests.support.deadlocks import capture

PAGE = (Path(__file__).parents[2] / "docs/log-shippers.md").read_text()
LOOP = CrashLoop("key", "0123456789ab", "SIGSEGV in x", NOON, NOON, 5)
OF_ANOTHER_EVENT = {
    "those of a crash": Event.CRASH_COLLECTED,
    "those of its start": Event.CRASH_LOOP_ENTERED,
}

ANNOUNCEMENTS: dict[Event, list[Callable[[], None]]] = {
    Event.CRASH_COLLECTED: [lambda: journal.announce_crash(crash(), "/x")],
    Event.FOREIGN_CRASH_COLLECTED: [lambda: journal.announce_foreign_crash(crash(), "/x")],
    Event.CRASH_USABLE: [lambda: journal.announce_usable_crash(crash(), "/x")],
    Event.EXTRACTION_FAILED: [lambda: journal.announce_crash(crash(ended=ExtractionOutcome.FAILED), "/x")],
    Event.WAITING_CORES_COLLECTED: [lambda: journal.announce_earlier_crashes([crash().id], "/x")],
    Event.CORE_REFUSED: [lambda: journal.announce_refused_core("/x", "no")],
    Event.RETENTION_REMOVED: [lambda: journal.announce_retention("one core")],
    Event.DEADLOCK_CAPTURED: [
        lambda: journal.announce_deadlock(capture(finding=Finding.DEADLOCK), "/x"),
        lambda: journal.announce_deadlock(capture(finding=Finding.NONE), "/x"),
    ],
    Event.CRASH_LOOP_ENTERED: [lambda: journal.announce_loop_start(LOOP, "/x")],
    Event.CRASH_LOOP_ENDED: [lambda: journal.announce_loop_end(LOOP, "/x")],
    Event.CONFIGURATION_REJECTED: [lambda: journal.announce_rejected_configuration(AstbtdError("no"))],
    Event.CHECK_FAILED: [lambda: journal.announce_failed_check("gdb", "none", "install it")],
}
"""How each event is announced."""


@dataclass(frozen=True)
class Sent:
    """An entry as it is sent to the journal."""

    priority: int
    fields: frozenset[str]


def documented() -> dict[str, tuple[str, str]]:
    """Return the columns for priority and fields of each event, by MESSAGE_ID."""
    rows = re.findall(r"^\| [^|]+ \| ([0-9a-f]{32}) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return {message_id: (priority, fields) for message_id, priority, fields in rows}


def field_names(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"`(ASTBTD_\w+)`", text))


def announced(event: Event, monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """Return the entries of an event."""
    entries: list[tuple[str, int, dict[str, str]]] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: entries.append(entry))
    for announce in ANNOUNCEMENTS[event]:
        announce()
    return [
        Sent(priority, frozenset(fields) - {"MESSAGE_ID"})
        for _, priority, fields in entries
        if fields["MESSAGE_ID"] == event.value
    ]


def test_each_event_is_announced_here_and_documented() -> None:
    assert list(ANNOUNCEMENTS) == list(Event)
    assert documented().keys() == {event.value for event in Event}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_the_fields_of_an_event_are_documented_and_no_others(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = documented()[event.value]
    if text in OF_ANOTHER_EVENT:
        _, text = documented()[OF_ANOTHER_EVENT[text].value]

    assert {sent.fields for sent in announced(event, monkeypatch)} == {field_names(text)}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_the_priority_of_an_event_is_documented(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = documented()[event.value]

    assert [str(sent.priority) for sent in announced(event, monkeypatch)] == re.findall(r"\d", text)


def test_each_field_is_explained_once() -> None:
    rows = re.findall(r"^\| ((?:`ASTBTD_\w+` ?)+)\| [^|]+ \|$", PAGE, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"ASTBTD_\w+", row)]
    sent = {name for _, text in documented().values() for name in field_names(text)}

    assert sorted(explained) == sorted(sent)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_example_shows_each_crash_once() -> None:
    """The entry of the first may come twice, and the second is announced without its core before."""
    twice, death, other_host = crash(1), crash(2, identity="d" * 32), replace(crash(1), host="pbx2")
    with_core = replace(crash(2), replaces=ReplacedRecord(death.id), signature=None)
    records = [twice, twice, death, with_core, other_host]
    entries = "".join(json.dumps({"ASTBTD_RECORD": json.dumps(to_plain(each))}) + "\n" for each in records)
    example = re.search(r"^    journalctl [^|]*\|\n((?:        .*\n)+)", PAGE, re.MULTILINE)
    assert example

    shown = subprocess.run(["sh", "-c", example[1]], input=entries, capture_output=True, text=True, check=True).stdout

    assert [line.split("\t")[0] for line in shown.splitlines()] == ["pbx1", "pbx1", "pbx2"]
    assert [line.split("\t")[2] for line in shown.splitlines()] == [
        "SIGSEGV ast_bridge_join",
        "",
        "SIGSEGV ast_bridge_join",
    ]
