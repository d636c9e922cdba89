"""A crash whose memory holds the secrets of the redaction table: none of them is in the bytes that a tracker gets."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.support.commands import section_text
from tests.support.harness import RunningDaemon
from tests.support.notifying import TrackerNotifications
from tests.support.secretive_crash import collect_crash_with_secrets, distinct_secrets
from tests.support.tracker_stub import Received, TrackerStub, tracker_stub


@pytest.fixture
def stub() -> Iterator[TrackerStub]:
    with tracker_stub() as stub:
        yield stub


def found_secrets(received: Received) -> set[str]:
    """Return the secrets in the header and in the unpacked body of a request."""
    sent = f"{received.path} {received.headers} {received.envelope.decode()}"
    return {secret for secret in distinct_secrets() if secret in sent}


@pytest.mark.parametrize("attach", ["nothing", "redacted"])
def test_no_secret_of_the_process_is_sent_to_a_tracker(
    running: RunningDaemon, scratch: Path, spool: Path, stub: TrackerStub, attach: str
) -> None:
    notifications = TrackerNotifications(running, scratch / "astbtd-notify")
    notifications.configure(stub.dsn, attach=attach)
    recorded = collect_crash_with_secrets(running, scratch / "asterisk-of-texts", spool)
    thread = section_text(running, recorded, Section.THREAD1)
    assert len([secret for secret in distinct_secrets() if secret in thread]) > 80

    notifications.send()

    (received,) = stub.received
    assert re.search(rb"text_[0-9]+", received.envelope), "the frames of the crash are in the event"
    assert (b"thread1.txt" in received.envelope) == (attach == "redacted")
    assert found_secrets(received) == set()
