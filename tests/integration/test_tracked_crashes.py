"""Real crashes, from the core to an error tracker, through both steps of the notifications."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astbtd.model.crash import Crash
from tests.support.browser import CHROMIUM, render_site
from tests.support.bugsink import BUGSINK_IS_MISSING, bugsink, issue_key
from tests.support.commands import extract
from tests.support.debug_files import install_debug_files
from tests.support.harness import RunningDaemon, crash
from tests.support.notifying import TrackerNotifications
from tests.support.relay import RELAY_IS_MISSING, normalize
from tests.support.tracker_stub import TrackerStub, tracker_stub

CALLER = "+49 30 7654321"


@pytest.fixture
def stub() -> Iterator[TrackerStub]:
    with tracker_stub() as stub:
        yield stub


@pytest.fixture
def notifications(extracting: RunningDaemon, scratch: Path) -> TrackerNotifications:
    return TrackerNotifications(extracting, scratch / "astbtd-notify")


def crash_of(running: RunningDaemon, programs: Path, directory: Path, *arguments: str) -> Crash:
    return extract(running, crash(programs, directory, *arguments))


def frames_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    (exception,) = event["exception"]["values"]
    frames = exception["stacktrace"]["frames"]
    assert isinstance(frames, list)
    return frames


@pytest.mark.skipif(RELAY_IS_MISSING, reason="sentry-relay is not installed: make trackers")
@pytest.mark.parametrize("fault", ["segv", "abort", "double-free", "smash", "recurse"])
def test_sentry_finds_nothing_wrong_with_the_event_of_a_real_crash(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path, fault: str
) -> None:
    notifications.configure(stub.dsn)
    record = crash_of(notifications.running, programs, scratch, fault)

    notifications.send()

    (received,) = stub.received
    (normalized,) = normalize([received.event])
    assert normalized.problems == []
    assert received.event["contexts"]["crash"]["id"] == record.id
    assert normalized.event["release"] == "asterisk@22.10.0+astbtd"


def test_an_event_has_the_stack_with_files_lines_modules_and_build_ids(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    notifications.configure(stub.dsn)
    record = crash_of(notifications.running, programs, scratch, "segv")

    notifications.send()

    event = stub.received[0].event
    innermost = frames_of(event)[-1]
    assert innermost["function"] == record.diagnosis.top_frame
    assert innermost["filename"].endswith("app_dial.c")
    assert innermost["lineno"] > 0
    assert innermost["package"].endswith("/app_dial.so")
    assert innermost["in_app"] is True
    images = {image["code_file"]: image["code_id"] for image in event["debug_meta"]["images"]}
    assert record.objects is not None
    assert {each.path: each.build_id for each in record.objects}[innermost["package"]] == images[innermost["package"]]


def test_nothing_from_memory_is_sent_unless_the_settings_ask_for_it(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    notifications.configure(stub.dsn)
    crash_of(notifications.running, programs, scratch, "segv", "--caller", CALLER)

    notifications.send()

    (received,) = stub.received
    assert [header["type"] for header, _ in received.items] == ["event"]
    assert "7654321" not in json.dumps(received.event)
    assert all(
        frame.keys() <= {"function", "filename", "lineno", "package", "in_app"} for frame in frames_of(received.event)
    )


def test_redacted_texts_are_attached_if_the_settings_ask_for_them(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    notifications.configure(stub.dsn, attach="redacted")
    crash_of(notifications.running, programs, scratch, "segv", "--caller", CALLER)

    notifications.send()

    attached = {str(header["filename"]): text for header, text in stub.received[0].items if header["type"] != "event"}
    assert {"report.txt", "thread1.txt", "info.txt"} <= attached.keys()
    assert b"#0" in attached["thread1.txt"]
    assert b"7654321" not in b"".join(attached.values())


def test_a_crash_whose_signature_is_corrected_by_symbols_that_came_later_is_sent_once_more_and_marked(
    notifications: TrackerNotifications, stub: TrackerStub, stripped: Path, scratch: Path
) -> None:
    notifications.configure(stub.dsn)
    core = crash(stripped, scratch, "segv")
    before = extract(notifications.running, core)
    notifications.send()
    install_debug_files(stripped, scratch / "debug")

    after = extract(notifications.running, core)
    notifications.send()
    notifications.send()

    assert after.signature is not None
    assert after.signature.text == "fault in do_forward"
    first, corrected = (received.event for received in stub.received)
    assert first["event_id"] != corrected["event_id"]
    assert [event["contexts"]["crash"]["id"] for event in (first, corrected)] == [before.id, before.id]
    assert corrected["fingerprint"] == ["astbtd", "signature", after.signature.id]
    assert [event["tags"]["report"] for event in (first, corrected)] == ["first", "corrected"]
    assert corrected["tags"]["corrects"] == (before.signature.id if before.signature else "none")


@pytest.mark.skipif(BUGSINK_IS_MISSING, reason="Bugsink is not installed: make trackers")
def test_a_crash_whose_signature_is_corrected_counts_once_in_a_real_tracker(
    notifications: TrackerNotifications, stripped: Path, scratch: Path
) -> None:
    """It has an event in the issue of each signature, and the tag tells which one is the crash."""
    with bugsink(scratch / "bugsink") as tracker:
        notifications.configure(tracker.dsn)
        core = crash(stripped, scratch, "segv")
        extract(notifications.running, core)
        notifications.send()
        install_debug_files(stripped, scratch / "debug")
        corrected = extract(notifications.running, core)
        for _ in range(2):
            notifications.send()

        assert corrected.signature is not None
        assert tracker.counts()[issue_key(("astbtd", "signature", corrected.signature.id))] == 1
        assert tracker.tag_values("report") == {"first": 1, "corrected": 1}


def test_an_extraction_that_is_repeated_with_the_same_result_sends_nothing(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    notifications.configure(stub.dsn)
    core = crash(programs, scratch, "segv")
    extract(notifications.running, core)
    notifications.send()

    extract(notifications.running, core)
    notifications.send()

    assert len(stub.received) == 1


def test_a_test_message_says_what_the_server_answered(notifications: TrackerNotifications, stub: TrackerStub) -> None:
    notifications.configure(stub.dsn)

    printed = notifications.test()

    assert printed.startswith("sentry: accepted: localhost: 200, id ")
    assert stub.received[0].event["tags"] == {"report": "test"}


def test_a_missing_dsn_is_an_error_with_a_hint_and_nothing_is_lost(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    notifications.configure("nonsense")
    record = crash_of(notifications.running, programs, scratch, "segv")

    said = notifications.send_until("sentry: cannot deliver: the DSN of the error tracker is invalid")
    notifications.configure(stub.dsn)
    notifications.test()
    notifications.send()

    assert "copy the DSN from the settings of the project" in said
    assert [received.event["tags"]["report"] for received in stub.received] == ["test", "first"]
    assert stub.received[1].event["contexts"]["crash"]["id"] == record.id


@pytest.mark.skipif(BUGSINK_IS_MISSING, reason="Bugsink is not installed: make trackers")
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_real_crashes_are_grouped_in_a_real_tracker_and_shown_in_a_browser(
    notifications: TrackerNotifications, programs: Path, scratch: Path
) -> None:
    with bugsink(scratch / "bugsink") as tracker:
        notifications.configure(tracker.dsn)
        first = crash_of(notifications.running, programs, scratch, "segv")
        notifications.send()
        crash_of(notifications.running, programs, scratch, "segv")
        other = crash_of(notifications.running, programs, scratch, "abort")
        notifications.send()
        notifications.send()

        assert first.signature is not None
        assert other.signature is not None
        key = ("astbtd", "signature", first.signature.id)
        page = render_site(tracker.issue_page(key))

        assert tracker.counts() == {issue_key(key): 2, issue_key((*key[:2], other.signature.id)): 1}
        assert tracker.releases() == {"asterisk@22.10.0+astbtd"}
        assert f"<title>SIGSEGV: {first.diagnosis.crash_function} · Bugsink</title>" in page
        assert "app_dial.c" in page


def test_a_crash_costs_the_network_two_kilobytes_at_most(
    notifications: TrackerNotifications, stub: TrackerStub, programs: Path, scratch: Path
) -> None:
    """The size in docs/fleet.md."""
    notifications.configure(stub.dsn)
    crash_of(notifications.running, programs, scratch, "segv")

    notifications.send()

    (received,) = stub.received
    print(f"{len(received.raw)} bytes sent, {len(received.envelope)} unpacked")  # noqa: T201
    assert len(received.raw) <= 2048
