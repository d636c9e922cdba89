"""Crashes in a real error tracker, Bugsink: grouping, counts, releases, hosts, and the page that people see."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from astbtd.notify.payload import Notification, SignatureFacts, notification_id
from astbtd.notify.sinks.sentry import SentrySink
from tests.support.browser import CHROMIUM, render_site
from tests.support.bugsink import BUGSINK_IS_MISSING, Bugsink, bugsink, issue_key
from tests.support.builders import NOON
from tests.support.harness import TIMEOUT
from tests.support.notifications import MACHINE, crash_facts, crash_notification, loop_notification

pytestmark = pytest.mark.skipif(BUGSINK_IS_MISSING, reason="Bugsink is not installed: make trackers")

FIRST, SECOND = "0123456789ab", "ba9876543210"


@pytest.fixture
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    with bugsink(tmp_path_factory.mktemp("tracker") / "bugsink") as running:
        yield running


@pytest.fixture
def sink(tracker: Bugsink) -> SentrySink:
    return SentrySink(tracker.dsn, timeout=TIMEOUT)


def deliver(sink: SentrySink, *notifications: Notification) -> None:
    outcome = sink.deliver(notifications)
    assert outcome.accepted == len(notifications), outcome


def key_of(signature: str) -> str:
    return issue_key(("astbtd", "signature", signature))


def on_host(notification: Notification, host: str, version: str) -> Notification:
    """Return the notification as another host with another version of Asterisk sends it."""
    assert notification.crash is not None
    made_of = notification_id(host, notification.crash.id)
    return replace(
        notification, id=made_of, host=host, machine=host, crash=replace(notification.crash, version=version)
    )


def test_crashes_are_grouped_by_signature_with_their_hosts_and_releases(tracker: Bugsink, sink: SentrySink) -> None:
    deliver(
        sink,
        on_host(crash_notification(1, signature=FIRST), "pbx1", "22.10.0~dfsg+~cs6.16.60671435"),
        on_host(crash_notification(2, signature=FIRST), "pbx2", "22.9.0"),
        on_host(crash_notification(3, signature=SECOND), "pbx2", "22.9.0"),
    )

    assert tracker.counts() == {key_of(FIRST): 2, key_of(SECOND): 1}
    assert tracker.releases() == {"asterisk@22.10.0+dfsg.cs6.16.60671435", "asterisk@22.9.0"}
    assert tracker.tag_values("server_name") == {"pbx1": 1, "pbx2": 2}
    assert sorted(tracker.tag_values("user").values()) == [1, 2]


def test_releases_are_ordered_as_versions(tracker: Bugsink, sink: SentrySink) -> None:
    versions = ("22.10.0", "22.9.0", "22.9.0-rc1", "22.10.0~dfsg+~cs6.16.60671435")
    deliver(sink, *(on_host(crash_notification(n), f"pbx{n}", version) for n, version in enumerate(versions)))

    assert tracker.query("SELECT count(*) FROM releases_release WHERE is_semver") == [(4,)]


def test_bugs_are_found_by_release_by_host_and_by_the_version_since_which_they_exist(
    tracker: Bugsink, sink: SentrySink
) -> None:
    signature = SignatureFacts(SECOND, "SIGSEGV", 1, NOON, after_version="22.9.0")
    new = replace(crash_facts(2), function="new_bug", signature=signature)
    deliver(
        sink,
        on_host(replace(crash_notification(1), crash=replace(crash_facts(1), function="old_bug")), "pbx1", "22.9.0"),
        on_host(replace(crash_notification(2), crash=new), "pbx2", "22.10.0"),
    )

    for query in ("release:asterisk@22.10.0", "server_name:pbx2", "new_after:22.9.0"):
        found = tracker.search(query)
        assert "new_bug" in found, query
        assert "old_bug" not in found, query


def test_what_is_sent_again_is_not_counted_again_even_if_the_tracker_was_killed(
    tracker: Bugsink, sink: SentrySink
) -> None:
    notifications = [crash_notification(number) for number in range(1, 4)]
    deliver(sink, *notifications)

    tracker.kill()
    tracker.start()
    deliver(sink, *notifications, crash_notification(4))

    assert tracker.counts() == {key_of(FIRST): 4}
    assert len(tracker.event_ids()) == 4


def test_a_corrected_signature_moves_a_crash_and_can_be_left_out_of_the_count(
    tracker: Bugsink, sink: SentrySink
) -> None:
    corrected = replace(crash_facts(1, signature=SECOND), corrects=FIRST)
    again = replace(crash_notification(1), id=notification_id(MACHINE, corrected.id, SECOND), crash=corrected)

    deliver(sink, crash_notification(1, signature=FIRST), crash_notification(2, signature=FIRST), again)

    assert tracker.counts() == {key_of(FIRST): 2, key_of(SECOND): 1}
    assert tracker.tag_values("report") == {"first": 2, "corrected": 1}
    assert tracker.tag_values("corrects") == {FIRST: 1}


def test_a_loop_is_one_event_in_the_issue_of_its_crashes(tracker: Bugsink, sink: SentrySink) -> None:
    deliver(sink, crash_notification(6), loop_notification(40))

    assert tracker.counts() == {key_of(FIRST): 2}
    assert tracker.tag_values("report") == {"first": 1, "loop": 1}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_of_an_issue_shows_what_crashed_where(tracker: Bugsink, sink: SentrySink) -> None:
    deliver(sink, crash_notification())

    page = render_site(tracker.issue_page(("astbtd", "signature", FIRST)))

    assert "<title>SIGSEGV: ast_bridge_join · Bugsink</title>" in page
    shown = [
        page.index(text) for text in (">bridge.c</span> in", ">app_dial.c</span> in", ">libc.so.6 in start_thread")
    ]
    assert shown == sorted(shown), "Bugsink shows the innermost frame first if the oldest comes first in the event"
    assert "asterisk@22.10.0" in page
