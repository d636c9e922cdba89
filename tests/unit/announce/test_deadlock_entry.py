"""A capture of a running Asterisk in the journal."""

import json

import pytest

from astbtd.announce import journal, systemd
from astbtd.announce.journal import Event
from astbtd.lib.serialization import plain
from astbtd.model.deadlock_capture import Finding
from tests.support.deadlocks import capture


@pytest.mark.parametrize(("finding", "priority"), [(Finding.DEADLOCK, 2), (Finding.STUCK, 4), (Finding.NONE, 4)])
def test_a_capture_is_one_entry_with_its_record(
    monkeypatch: pytest.MonkeyPatch, finding: Finding, priority: int
) -> None:
    sent: list[tuple[str, int, dict[str, str]]] = []
    monkeypatch.setattr(systemd, "send", lambda *entry: sent.append(entry))
    record = capture(finding=finding)

    journal.deadlock(record, "/srv/deadlocks/x")

    assert [(message, level) for message, level, _ in sent] == [
        (f"Asterisk captured: {record.summary}; stopped for 21 ms in all: /srv/deadlocks/x", priority)
    ]
    ((_, _, fields),) = sent
    assert json.loads(fields.pop("ASTBTD_RECORD")) == plain(record)
    assert fields == {
        "MESSAGE_ID": Event.DEADLOCK_CAPTURED.value,
        "ASTBTD_ID": record.id,
        "ASTBTD_FINDING": finding.value,
        "ASTBTD_PATH": "/srv/deadlocks/x",
    }
