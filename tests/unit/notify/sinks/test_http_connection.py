"""Requests to one server, which may be anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.notify.sinks.http_connection import LARGEST_ANSWER, Answer, HttpConnection, Server, Unreachable
from tests.support.tracker_stub import Misbehaviour, Reply, TrackerStub, make_certificate, silent_port, tracker_stub

FINE = Reply(body=b"fine")


@pytest.fixture
def stub() -> Iterator[TrackerStub]:
    with tracker_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "right")


def server_of(stub: TrackerStub, timeout: float = 60, ca_file: Path | None = None) -> Server:
    encrypted = stub.scheme == "https"
    return Server("localhost", stub.port, encrypted, timeout, str(ca_file) if ca_file else None)


def post(server: Server) -> Answer:
    connection = HttpConnection(server)
    try:
        return connection.post("/x", {"X-Key": "secret"}, b"")
    finally:
        connection.close()


def failure(server: Server) -> str:
    with pytest.raises(Unreachable) as raised:
        post(server)
    return raised.value.message


def test_an_answer_has_status_headers_and_body(stub: TrackerStub) -> None:
    stub.replies = [Reply(418, {"X-Name": "value"}, b"short")]

    answer = post(server_of(stub))

    assert (answer.status, answer.headers["x-name"], answer.body) == (418, "value", b"short")


def test_of_a_long_answer_only_the_start_is_read(stub: TrackerStub) -> None:
    stub.replies = [Misbehaviour.ENDLESS]

    assert len(post(server_of(stub)).body) == LARGEST_ANSWER


def test_requests_share_a_connection_also_after_an_answer_that_was_too_long(stub: TrackerStub) -> None:
    stub.replies = [Reply(body=bytes(LARGEST_ANSWER + 1)), FINE, FINE]
    connection = HttpConnection(server_of(stub))

    bodies = [connection.post("/x", {}, b"").body for _ in range(3)]
    connection.close()

    assert bodies[1:] == [b"fine", b"fine"]


def test_a_request_after_a_failed_one_connects_again(stub: TrackerStub) -> None:
    stub.replies = [Misbehaviour.ENDS, FINE]
    connection = HttpConnection(server_of(stub))

    with pytest.raises(Unreachable):
        connection.post("/x", {}, b"")
    answer = connection.post("/x", {}, b"")
    connection.close()

    assert answer.body == b"fine"


@pytest.mark.parametrize("how", [Misbehaviour.SILENT, Misbehaviour.SLOW])
def test_a_server_that_does_not_answer_in_time_is_given_up(stub: TrackerStub, how: Misbehaviour) -> None:
    stub.replies = [how]

    assert "no answer within 0.5 s" in failure(server_of(stub, timeout=0.5))


def test_a_handshake_that_is_not_answered_in_time_is_given_up() -> None:
    with silent_port() as port:
        assert "no answer" in failure(Server("localhost", port, encrypted=True, timeout=0.5))


def test_another_protocol_is_no_answer(stub: TrackerStub) -> None:
    stub.replies = [Misbehaviour.NO_HTTP]

    assert "220 mail.example.org ESMTP" in failure(server_of(stub))


def test_a_name_that_cannot_be_resolved_is_reported() -> None:
    assert "no-such-host.invalid: the name cannot be resolved" in failure(Server("no-such-host.invalid", 443, True, 60))


@pytest.mark.parametrize("name", ["tracker..example.org", "x" * 64 + ".example.org"])
def test_a_name_that_cannot_exist_is_reported(name: str) -> None:
    assert failure(Server(name, 443, True, 60)) == f"{name}: this is not a valid name"


def test_a_port_without_server_is_reported() -> None:
    assert "Connection refused" in failure(Server("127.0.0.1", 1, encrypted=False, timeout=60))


def test_a_certificate_of_a_known_authority_is_accepted(certificate: Path) -> None:
    with tracker_stub(certificate) as stub:
        stub.replies = [FINE]

        assert post(server_of(stub, ca_file=certificate / "certificate.pem")).body == b"fine"


def test_nothing_is_sent_to_a_server_whose_certificate_nobody_knows(certificate: Path) -> None:
    with tracker_stub(certificate) as stub:
        assert "its certificate is not accepted: self-signed certificate" in failure(server_of(stub))
        assert stub.received == []


def test_nothing_is_sent_to_a_server_with_the_certificate_of_another(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "wrong", "elsewhere.example.org")
    with tracker_stub(certificate) as stub:
        message = failure(server_of(stub, ca_file=certificate / "certificate.pem"))

        assert "its certificate is not accepted: Hostname mismatch" in message
        assert stub.received == []


def test_a_redirection_is_an_answer_and_is_not_followed(stub: TrackerStub) -> None:
    with tracker_stub() as elsewhere:
        stub.replies = [Reply(307, {"Location": f"http://localhost:{elsewhere.port}/x"}, b"")]

        assert post(server_of(stub)).status == 307
        assert elsewhere.received == []
