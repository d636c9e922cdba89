"""Events as Sentry itself reads them: its normalizer finds nothing wrong, and changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from astbtd.notify.payload import FrameFacts, Notification
from astbtd.notify.sentry_event import make_event
from tests.support.notifications import crash_facts, crash_notification, loop_notification, message_notification
from tests.support.relay import RELAY_IS_MISSING, Normalized, normalize

pytestmark = pytest.mark.skipif(RELAY_IS_MISSING, reason="sentry-relay is not installed: make trackers")

HOSTILE = "\x1b[31m\u202e\n\0" + "/long" * 1000


def read_by_sentry(notification: Notification, age: timedelta = timedelta(minutes=5)) -> Normalized:
    """Return what Sentry makes of a notification of something that happened some time ago."""
    now = datetime.now(UTC)
    (normalized,) = normalize([make_event(replace(notification, time=now - age), now)])
    return normalized


def test_the_normalizer_finds_faults() -> None:
    """The other tests show something only because of this."""
    event = make_event(crash_notification(), crash_notification().time)
    faulty = {"timestamp": "2001-01-01T00:00:00Z"}, {"release": "a/b"}, {"event_id": "x"}, {"arguments": "x"}

    assert all(normalized.problems for normalized in normalize([{**event, **fault} for fault in faulty]))


@pytest.mark.parametrize(
    "notification",
    [crash_notification(), loop_notification(), message_notification()],
    ids=["crash", "loop", "test-message"],
)
def test_nothing_is_wrong_with_an_event(notification: Notification) -> None:
    normalized = read_by_sentry(notification)

    assert normalized.problems == []
    assert normalized.event["event_id"] == notification.id


@pytest.mark.parametrize("age", [timedelta(days=400), timedelta(hours=-2)], ids=["old", "future"])
def test_nothing_is_wrong_with_the_event_of_an_old_core_or_of_a_host_whose_clock_is_wrong(age: timedelta) -> None:
    assert read_by_sentry(crash_notification(), age).problems == []


def test_nothing_is_wrong_with_names_from_damaged_memory() -> None:
    frame = FrameFacts(HOSTILE, HOSTILE, 1, HOSTILE, "ab" * 20)
    crash = replace(crash_facts(), function=HOSTILE, version=HOSTILE, signal=HOSTILE, frames=(frame,) * 200)

    assert read_by_sentry(replace(crash_notification(), host=HOSTILE, crash=crash)).problems == []


def test_frames_are_in_the_order_that_sentry_expects() -> None:
    (exception,) = read_by_sentry(crash_notification()).event["exception"]["values"]

    assert exception["stacktrace"]["frames"][-1]["function"] == "ast_bridge_join"


@pytest.mark.parametrize(
    "version", ["22.10.0", "22.10.0~dfsg+~cs6.16.60671435", "20.5.0-rc1", "18.9-cert5", "1.8.10.1"]
)
def test_sentry_can_order_releases(version: str) -> None:
    notification = replace(crash_notification(), crash=replace(crash_facts(), version=version))

    parsed = read_by_sentry(notification).event["parsed_release"]["version_parsed"]

    assert parsed["raw_short"] == version.partition("~")[0]


@pytest.mark.parametrize(
    "version", ["GIT-master-1a2b3cM", "certified/18.9-cert5", "SVN-branch-1.8-r1M-/trunk", HOSTILE]
)
def test_any_version_is_a_valid_release(version: str) -> None:
    notification = replace(crash_notification(), crash=replace(crash_facts(), version=version))

    assert read_by_sentry(notification).problems == []
