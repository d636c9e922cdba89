"""What is in the events that error trackers get."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from astbtd.model.diagnosis import Kind
from astbtd.notify.payload import CrashFacts, FrameFacts, Notification, SignatureFacts
from astbtd.notify.sentry_event import MOST_FRAMES, debug_id, make_event, release_name
from tests.support.builders import NOON
from tests.support.notifications import (
    MACHINE,
    crash_facts,
    crash_notification,
    loop_notification,
    message_notification,
)

SIGNATURE = SignatureFacts("0123456789ab", "SIGSEGV ast_bridge_join", 1, NOON)
LATER = NOON + timedelta(hours=1)


def event_of(notification: Notification, now: datetime = LATER) -> dict[str, Any]:
    """Return the event as a server reads it."""
    event = json.loads(json.dumps(make_event(notification, now)))
    assert isinstance(event, dict)
    return event


def event_of_crash(crash: CrashFacts) -> dict[str, Any]:
    return event_of(replace(crash_notification(), crash=crash))


def frames_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    (exception,) = event["exception"]["values"]
    found = exception["stacktrace"]["frames"]
    assert isinstance(found, list)
    return found


def test_the_id_is_the_one_of_the_notification() -> None:
    notification = crash_notification()

    assert event_of(notification)["event_id"] == notification.id


def test_the_title_says_signal_and_function() -> None:
    (exception,) = event_of(crash_notification())["exception"]["values"]

    assert (exception["type"], exception["value"]) == ("SIGSEGV", "ast_bridge_join")


def test_the_oldest_frame_comes_first() -> None:
    functions = [frame["function"] for frame in frames_of(event_of(crash_notification()))]

    assert functions == ["??", "start_thread", "dial_exec_full", "ast_bridge_join"]


def test_a_frame_has_function_file_line_and_object() -> None:
    frame = frames_of(event_of(crash_notification()))[-2]

    assert frame == {
        "function": "dial_exec_full",
        "filename": "app_dial.c",
        "lineno": 3400,
        "package": "/usr/lib/asterisk/modules/app_dial.so",
        "in_app": True,
    }


def test_a_frame_without_source_shows_its_object_and_is_not_the_pbxs_own() -> None:
    frame = frames_of(event_of(crash_notification()))[1]

    assert (frame["filename"], frame["in_app"]) == ("libc.so.6", False)


def test_the_objects_of_the_frames_have_their_build_ids() -> None:
    images = event_of(crash_notification())["debug_meta"]["images"]

    assert [(image["code_file"], image["code_id"]) for image in images] == [
        ("/usr/sbin/asterisk", "ab" * 20),
        ("/usr/lib/asterisk/modules/app_dial.so", "cd" * 20),
        ("/lib/x86_64-linux-gnu/libc.so.6", "ef" * 20),
    ]


@pytest.mark.parametrize("build_id", ["", "xyz", "abc", "ab" * 40])
def test_an_object_whose_build_id_is_none_is_left_out(build_id: str) -> None:
    frames = (FrameFacts("f", None, None, "/usr/sbin/asterisk", build_id),)

    assert event_of_crash(replace(crash_facts(), frames=frames))["debug_meta"]["images"] == []


def test_a_debug_id_has_the_byte_order_of_a_little_endian_uuid() -> None:
    """The example of the documentation of debug identifiers."""
    assert debug_id("f1c3bcc0279865fe3058404b2831d9e64135386c") == "c0bcc3f1-9827-fe65-3058-404b2831d9e6"


def test_crashes_are_grouped_by_signature() -> None:
    assert event_of(crash_notification())["fingerprint"] == ["astbtd", "signature", "0123456789ab"]


def test_crashes_without_signature_are_grouped_by_site() -> None:
    event = event_of_crash(replace(crash_facts(), signature=None))

    assert event["fingerprint"] == ["astbtd", "site", "0f" * 8]


def test_a_crash_without_signature_and_site_is_not_grouped() -> None:
    event = event_of_crash(replace(crash_facts(), signature=None, site=None))

    assert event["fingerprint"] == ["astbtd", "crash", event["event_id"]]


def test_foreign_crashes_are_not_grouped_with_those_of_the_pbx() -> None:
    event = event_of_crash(replace(crash_facts(), foreign=True))

    assert event["fingerprint"] == ["astbtd", "foreign", "signature", "0123456789ab"]
    assert event["tags"]["foreign"] == "yes"


def test_the_tags_say_what_is_searched_for() -> None:
    assert event_of(crash_notification())["tags"] == {
        "report": "first",
        "kind": "crash",
        "verdict": "usable",
        "corruption": "none",
        "signal": "SIGSEGV",
        "foreign": "no",
        "signature": "SIGSEGV ast_bridge_join",
        "site": "0f" * 8,
        "asterisk": "22.10.0",
    }


@pytest.mark.parametrize(("before", "tag"), [("ba9876543210", "ba9876543210"), ("", "none")])
def test_a_corrected_signature_is_tagged_so_that_the_crash_does_not_count_twice(before: str, tag: str) -> None:
    tags = event_of_crash(replace(crash_facts(), corrects=before))["tags"]

    assert (tags["report"], tags["corrects"]) == ("corrected", tag)


def test_a_signature_that_is_new_after_an_upgrade_is_tagged_with_the_version_before() -> None:
    signature = replace(SIGNATURE, after_version="22.9.0")

    assert event_of_crash(replace(crash_facts(), signature=signature))["tags"]["new_after"] == "22.9.0"


def test_the_host_is_server_name_and_user() -> None:
    event = event_of(crash_notification())

    assert (event["server_name"], event["user"]) == ("pbx7", {"id": MACHINE})


def test_a_loop_is_a_count_in_the_issue_of_its_crashes() -> None:
    event = event_of(loop_notification(40))

    assert event["contexts"]["crash_loop"]["crashes"] == 40
    assert event["contexts"]["crash_loop"]["over"] is True
    assert event["tags"]["report"] == "loop"
    assert event["fingerprint"] == event_of(crash_notification())["fingerprint"]


def test_a_test_message_is_marked_and_apart() -> None:
    event = event_of(message_notification(subject="test of astbtd"))

    assert event["logentry"] == {"formatted": "test of astbtd"}
    assert event["tags"] == {"report": "test"}
    assert event["fingerprint"] == ["astbtd", "test"]


def test_a_signal_that_somebody_sent_is_no_fatal_error() -> None:
    assert event_of_crash(replace(crash_facts(), kind=Kind.SENT))["level"] == "warning"
    assert event_of(crash_notification())["level"] == "fatal"


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("22.10.0", "asterisk@22.10.0"),
        ("22.10.0~dfsg+~cs6.16.60671435", "asterisk@22.10.0+dfsg.cs6.16.60671435"),
        ("20.5.0-rc1", "asterisk@20.5.0-rc1"),
        ("18.9-cert5", "asterisk@18.9-cert5"),
        ("certified/18.9-cert5", "asterisk@certified.18.9-cert5"),
        ("GIT-master-1a2b3cM", "asterisk@GIT-master-1a2b3cM"),
        ("SVN-branch-1.8-r1M-/trunk\n", "asterisk@SVN-branch-1.8-r1M-.trunk"),
        ("/", "asterisk@unknown"),
    ],
)
def test_the_release_is_the_version_of_asterisk(version: str, release: str) -> None:
    assert release_name(version) == release


def test_an_unknown_version_is_no_release() -> None:
    assert "release" not in event_of_crash(replace(crash_facts(), version=None))


@pytest.mark.parametrize("age", [timedelta(days=30), timedelta(hours=-1)], ids=["too-old", "future"])
def test_a_time_that_servers_do_not_accept_is_in_the_context_only(age: timedelta) -> None:
    notification = crash_notification()

    event = event_of(notification, notification.time + age)

    assert "timestamp" not in event
    assert event["contexts"]["crash"]["crashed_at"] == "2026-11-22T12:01:00.000Z"


def test_a_runaway_recursion_is_cut_to_the_innermost_frames() -> None:
    frames = tuple(FrameFacts(f"f{number}") for number in range(MOST_FRAMES + 50))

    event = event_of_crash(replace(crash_facts(), frames=frames, frames_omitted=7))

    assert [frame["function"] for frame in frames_of(event)][:: MOST_FRAMES - 1] == [f"f{MOST_FRAMES - 1}", "f0"]
    assert event["contexts"]["crash"]["frames_omitted"] == 57


def test_names_are_bounded_and_without_control_characters() -> None:
    hostile = "\x1b[31m\u202e\n\0" + "/long" * 1000
    frame = FrameFacts(hostile, hostile, 1, hostile, "ab" * 20)
    crash = replace(crash_facts(), function=hostile, version=hostile, signal=hostile, frames=(frame,) * 200)

    event = event_of(replace(crash_notification(), crash=crash, host=hostile))
    text = json.dumps(event, ensure_ascii=False)

    assert text.isprintable()
    assert len(text) < 200_000  # 1 MiB is the limit of Sentry and Bugsink


def test_lost_notifications_are_counted() -> None:
    assert event_of(replace(crash_notification(), gap=3))["contexts"]["crash"]["notifications_lost_before"] == 3
