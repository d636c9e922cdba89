"""The form in which notifications cross the spool."""

import json
from dataclasses import replace

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.payload import Audience, NotificationKind, from_json, notification_id, to_json
from tests.support.notifications import crash_notification, loop_notification, message_notification


@pytest.mark.parametrize("make", [crash_notification, loop_notification, message_notification])
def test_a_notification_is_read_as_it_was_written(make) -> None:  # type: ignore[no-untyped-def] # three signatures
    notification = make()

    assert from_json(to_json(notification)) == notification


def test_messages_are_for_people_and_crashes_and_loops_for_trackers() -> None:
    assert message_notification().audience is Audience.PEOPLE
    assert replace(message_notification(), kind=NotificationKind.TEST).audience is Audience.PEOPLE
    assert crash_notification().audience is Audience.TRACKER
    assert loop_notification().audience is Audience.TRACKER


def test_an_id_depends_on_the_machine_and_on_everything_that_is_named() -> None:
    ids = {
        notification_id("m1", "crash", "a"),
        notification_id("m2", "crash", "a"),
        notification_id("m1", "crash", "b"),
        notification_id("m1", "crasha"),
    }

    assert len(ids) == 4
    assert notification_id("m1", "crash", "a") in ids
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


def test_lost_notifications_are_added_up() -> None:
    assert crash_notification().after_gap(2).after_gap(3).gap == 5


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"id": 1}'])
def test_what_is_no_notification_is_refused(content: bytes) -> None:
    with pytest.raises(AstbtdError, match="not a notification"):
        from_json(content)


def test_a_field_that_is_not_known_is_refused() -> None:
    document = json.loads(to_json(crash_notification()))
    document["crash"]["command_line"] = "asterisk -g"

    with pytest.raises(AstbtdError, match="command_line: unknown key"):
        from_json(json.dumps(document).encode())
