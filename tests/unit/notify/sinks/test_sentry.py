"""Delivery to an error tracker: what is accepted, what is repeated, what is given up."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.payload import Notification
from astbtd.notify.sinks.base import Outcome, Refused, Retry
from astbtd.notify.sinks.sentry import SentrySink
from tests.support.builders import NOON
from tests.support.notifications import crash_facts, crash_notification, loop_notification
from tests.support.tracker_stub import KEY, Misbehaviour, Reply, TrackerStub, tracker_stub

THREE = [crash_notification(1), crash_notification(2), loop_notification()]
HTML = b"<!DOCTYPE html>\n<title>Log in to the network</title>"


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stub() -> Iterator[TrackerStub]:
    with tracker_stub() as stub:
        yield stub


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(stub: TrackerStub, clock: Clock) -> SentrySink:
    return SentrySink(stub.dsn, timeout=60, now=lambda: NOON, monotonic=clock)


def received_ids(stub: TrackerStub) -> list[object]:
    return [received.event["event_id"] for received in stub.received]


def with_texts() -> Notification:
    return replace(crash_notification(), crash=replace(crash_facts(), texts={"report.txt": "redacted"}))


def test_each_notification_is_sent_in_order_and_acknowledged(sink: SentrySink, stub: TrackerStub) -> None:
    outcome = sink.deliver(THREE)

    assert outcome == Outcome(3, None, f"localhost: 200, id {THREE[2].id}")
    assert received_ids(stub) == [each.id for each in THREE]


def test_a_request_has_the_key_in_its_header_and_goes_to_the_project(sink: SentrySink, stub: TrackerStub) -> None:
    sink.deliver(THREE[:1])

    (received,) = stub.received
    assert received.path == "/api/7/envelope/"
    assert f"sentry_key={KEY}" in received.headers["X-Sentry-Auth"]
    assert received.headers["Content-Encoding"] == "gzip"
    assert KEY.encode() not in received.envelope


def test_the_id_may_be_answered_with_dashes(sink: SentrySink, stub: TrackerStub) -> None:
    event_id = THREE[0].id.upper()
    dashed = "-".join((event_id[:8], event_id[8:12], event_id[12:16], event_id[16:20], event_id[20:]))
    stub.replies = [Reply(body=f'{{"id":"{dashed}"}}'.encode())]

    assert sink.deliver(THREE[:1]).accepted == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(500, body=b"oops"), "localhost answered 500: oops"),
        (Reply(502, body=HTML), r"localhost answered 502: <!DOCTYPE html>\n<title>Log in to the network</title>"),
        (Reply(200, body=HTML), r"localhost answered 200, but not as an error tracker does: <!DOCTYPE html>\n"),
        (Reply(200, body=b'{"id":"00112233445566778899aabbccddeeff"}'), "but not as an error tracker does"),
        (Reply(200, body=b"[" * 60_000), "but not as an error tracker does"),
        (Reply(200, body=b"\x1b[31m"), r"\x1b[31m"),
        (Reply(204, body=b""), "localhost answered 204: nothing"),
        (Reply(400, body=HTML), "localhost answered 400: <!DOCTYPE html>"),
        (Reply(413, body=HTML), "localhost answered 413: <!DOCTYPE html>"),
        (Reply(401, body=b'{"detail":"bad key"}'), "localhost answered 401: bad key: check the DSN"),
        (Reply(403, {"X-Sentry-Error": "ProjectId"}, b"{}"), "localhost answered 403: ProjectId: check the DSN"),
        (Reply(404, body=HTML), ": check the DSN"),
        (Misbehaviour.ENDS, "localhost: "),
        (Misbehaviour.NO_HTTP, "localhost: "),
    ],
)
def test_what_is_not_acknowledged_is_sent_again_later(
    sink: SentrySink, stub: TrackerStub, reply: Reply | Misbehaviour, reason: str
) -> None:
    stub.replies = [Reply(), reply]

    outcome = sink.deliver(THREE)

    assert outcome.accepted == 1
    assert isinstance(outcome.problem, Retry)
    assert reason in outcome.problem.reason
    assert outcome.problem.reason.isprintable()
    assert len(stub.received) == 2


@pytest.mark.parametrize("status", [400, 413])
def test_an_event_that_the_tracker_does_not_accept_is_given_up(
    sink: SentrySink, stub: TrackerStub, status: int
) -> None:
    stub.replies = [Reply(status, body=b'{"detail":"invalid event","causes":[]}')]

    outcome = sink.deliver(THREE)

    assert outcome.accepted == 0
    assert outcome.problem == Refused(f"localhost answered {status}: invalid event")


def test_texts_are_attached(sink: SentrySink, stub: TrackerStub) -> None:
    sink.deliver([with_texts()])

    assert [content for header, content in stub.received[0].items if header["type"] == "attachment"] == [b"redacted"]


def test_a_crash_whose_texts_are_too_large_for_the_server_is_sent_without(sink: SentrySink, stub: TrackerStub) -> None:
    stub.replies = [Reply(413, body=HTML)]

    outcome = sink.deliver([with_texts()])

    assert outcome.accepted == 1
    assert [len(received.items) for received in stub.received] == [2, 1]


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(429, {"Retry-After": "17"}, b""), 17),
        (Reply(429, body=HTML), 60),
        (Reply(429, {"X-Sentry-Rate-Limits": "2700:error:organization:quota"}, b"{}"), 2700),
        (Reply(503, {"Retry-After": "120"}, b""), 120),
    ],
)
def test_a_pause_that_the_server_asks_for_is_passed_on(
    sink: SentrySink, stub: TrackerStub, reply: Reply, seconds: float
) -> None:
    stub.replies = [reply]

    outcome = sink.deliver(THREE)

    assert isinstance(outcome.problem, Retry)
    assert outcome.problem.after == seconds


def test_nothing_is_sent_during_a_pause_that_an_acknowledgement_asks_for(
    sink: SentrySink, stub: TrackerStub, clock: Clock
) -> None:
    stub.replies = [Reply(headers={"X-Sentry-Rate-Limits": "60:error:key"})]

    first = sink.deliver(THREE)
    clock.seconds += 59
    during = sink.deliver(THREE[1:])
    clock.seconds += 1
    after = sink.deliver(THREE[1:])

    assert first == Outcome(1, Retry("localhost wants a pause", 60.0), f"localhost: 200, id {THREE[0].id}")
    assert (during.accepted, during.problem) == (0, Retry("localhost wants a pause", 1.0))
    assert after.accepted == 2
    assert received_ids(stub) == [each.id for each in THREE]


def test_the_key_is_not_sent_where_the_server_redirects_to(sink: SentrySink, stub: TrackerStub) -> None:
    with tracker_stub() as elsewhere:
        target = f"http://localhost:{elsewhere.port}/api/7/envelope/"
        stub.replies = [Reply(308, {"Location": target}, b"")]

        outcome = sink.deliver(THREE)

        assert elsewhere.received == []
    assert isinstance(outcome.problem, Retry)
    assert outcome.problem.reason == f"localhost answered 308: redirected to {target}, which is not followed"


def test_a_server_that_hangs_is_given_up(stub: TrackerStub) -> None:
    stub.replies = [Misbehaviour.SILENT]
    sink = SentrySink(stub.dsn, timeout=0.5)

    assert sink.deliver(THREE).problem == Retry("localhost: no answer within 0.5 s")


def test_a_dsn_that_cannot_be_used_is_an_error_of_the_sink(stub: TrackerStub) -> None:
    with pytest.raises(AstbtdError, match="the DSN of the error tracker is invalid"):
        SentrySink("nonsense", timeout=60).deliver(THREE)

    assert stub.received == []


def test_certificates_that_cannot_be_read_are_an_error_of_the_sink() -> None:
    sink = SentrySink(f"https://{KEY}@localhost/7", timeout=60, ca_file="/does/not/exist")

    with pytest.raises(AstbtdError, match="cannot use the certificates of /does/not/exist: No such file"):
        sink.deliver(THREE)
