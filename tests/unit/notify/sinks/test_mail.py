"""Mail through a server that misbehaves on cue: what was accepted, what is tried again, what never."""

from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.lib.notify_settings import Encryption, MailSettings
from astbtd.notify.payload import Notification
from astbtd.notify.sinks.base import Outcome, Refused, Retry
from astbtd.notify.sinks.mail import MailSink
from tests.support.notifications import message_notification
from tests.support.postfix import make_certificate
from tests.support.smtp_server import CLOSE, SILENCE, SmtpServer, misbehaving_smtp_server

SETTINGS = MailSettings(to=("ops@pbx.test", "bob@pbx.test"), server="127.0.0.1")


def deliver(server: SmtpServer, settings: MailSettings = SETTINGS, password: str | None = None) -> Outcome:
    sink = MailSink(replace(settings, port=server.port), password, timeout=0.5)
    return sink.deliver([message_notification()])


@pytest.mark.parametrize(
    "answers",
    [
        {"connect": "421 too busy"},
        {"connect": "554 go away"},
        {"connect": CLOSE},
        {"connect": SILENCE},
        {"connect": "garbage"},
        {"EHLO": CLOSE},
        {"EHLO": "502 no", "HELO": "421 closing"},
        {"MAIL": "451 try later"},
        {"MAIL": "550 not from you"},
        {"MAIL": SILENCE},
        {"RCPT": "450 greylisted"},
        {"RCPT": "550 no such user"},
        {"RCPT": "421 closing"},
        {"RCPT": CLOSE},
        {"DATA": "451 try later"},
        {"DATA": CLOSE},
        {"end": "452 disk full"},
        {"end": "550 policy"},
        {"end": "421 closing"},
        {"end": CLOSE},
        {"end": SILENCE},
    ],
    ids=str,
)
def test_what_is_not_accepted_is_tried_again(answers: dict[str, str]) -> None:
    with misbehaving_smtp_server(answers) as server:
        outcome = deliver(server)

    assert outcome.accepted == 0
    assert isinstance(outcome.problem, Retry)
    assert f"127.0.0.1:{server.port}: " in outcome.problem.reason
    assert "\n" not in outcome.problem.reason


@pytest.mark.parametrize("answer", ["552 too large", "554 looks like spam"])
def test_a_mail_whose_content_is_refused_is_never_sent_again(answer: str) -> None:
    with misbehaving_smtp_server({"end": answer}) as server:
        assert deliver(server).problem == Refused(answer)


@pytest.mark.parametrize("answers", [{}, {"QUIT": CLOSE}, {"QUIT": SILENCE}, {"QUIT": "500 what"}, {"EHLO": "502 no"}])
def test_what_was_accepted_is_accepted_whatever_follows(answers: dict[str, str]) -> None:
    with misbehaving_smtp_server(answers) as server:
        outcome = deliver(server)

    assert outcome == Outcome(1, None, "250 queued as 42")
    assert len(server.mails) == 1


def test_a_recipient_that_is_refused_does_not_hinder_the_others() -> None:
    class Picky(dict[str, str]):
        rest = iter(["250 ok", "550 no such user"])

        def get(self, key: str, default: str = "") -> str:  # type: ignore[override] # narrower than a dictionary's
            return next(self.rest) if key == "RCPT" else super().get(key, default)

    with misbehaving_smtp_server(Picky()) as server:
        outcome = deliver(server)

    assert (outcome.accepted, outcome.remark) == (1, "bob@pbx.test: 550 no such user")


def test_nobody_listens() -> None:
    with misbehaving_smtp_server() as server:
        pass

    outcome = deliver(server)

    assert isinstance(outcome.problem, Retry)
    assert outcome.problem.reason == f"127.0.0.1:{server.port}: Connection refused"


def test_a_name_that_cannot_be_resolved() -> None:
    outcome = MailSink(replace(SETTINGS, server="mail.invalid"), timeout=5).deliver([message_notification()])

    assert isinstance(outcome.problem, Retry)
    assert outcome.problem.reason.startswith("mail.invalid:25: ")


def test_a_certificate_that_is_not_trusted_ends_the_connection_before_the_password(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "server.pem", "other.test")
    settings = replace(SETTINGS, encryption=Encryption.STARTTLS, user="astbtd")
    with misbehaving_smtp_server(certificate=certificate) as server:
        outcome = deliver(server, settings, "hunter2")

    assert isinstance(outcome.problem, Retry)
    assert "its certificate is not valid: self-signed certificate" in outcome.problem.reason
    assert [line for line in server.commands if line.startswith(("AUTH", "MAIL"))] == []


@pytest.mark.parametrize(
    ("names", "problem"), [(("localhost",), None), (("other.test",), "Hostname mismatch, certificate is not valid")]
)
def test_starttls_and_login_with_a_trusted_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], problem: str | None
) -> None:
    certificate = make_certificate(tmp_path / "server.pem", *names)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings = replace(SETTINGS, server="localhost", encryption=Encryption.STARTTLS, user="astbtd")
    with misbehaving_smtp_server(certificate=certificate) as server:
        outcome = deliver(server, settings, "hunter2")

    if problem:
        assert isinstance(outcome.problem, Retry)
        assert problem in outcome.problem.reason
        return
    assert outcome.accepted == 1
    assert [line.partition(" ")[0] for line in server.commands][:4] == ["ehlo", "STARTTLS", "ehlo", "AUTH"]


def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    settings = replace(SETTINGS, encryption=Encryption.STARTTLS, user="astbtd")
    with misbehaving_smtp_server({"EHLO": "250 mail.test"}) as server:
        outcome = deliver(server, settings, "hunter2")

    assert isinstance(outcome.problem, Retry)
    assert "STARTTLS extension not supported" in outcome.problem.reason
    assert server.mails == []


def test_a_refused_login_is_tried_again_and_the_answer_is_not_repeated() -> None:
    with misbehaving_smtp_server({"AUTH": "535 wrong: hunter2"}) as server:
        outcome = deliver(server, replace(SETTINGS, user="astbtd"), "hunter2")

    assert isinstance(outcome.problem, Retry)
    assert outcome.problem.reason.endswith("the login was refused: 535")


def test_without_a_password_there_is_an_error_that_says_where_it_belongs() -> None:
    with misbehaving_smtp_server() as server, pytest.raises(AstbtdError, match="no password") as raised:
        deliver(server, replace(SETTINGS, user="astbtd"))

    assert "/etc/astbtd.secrets" in raised.value.remedy


def test_a_password_is_never_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astbtd.notify.sinks.mail._LOCAL", ("localhost",))  # 127.0.0.1 counts as another machine
    settings = replace(SETTINGS, encryption=Encryption.NONE, user="astbtd")
    with misbehaving_smtp_server() as server, pytest.raises(AstbtdError, match="would not be encrypted"):
        deliver(server, settings, "hunter2")

    assert not any("AUTH" in line for line in server.commands)


def test_encryption_is_required_for_every_other_machine() -> None:
    assert MailSink(MailSettings(server="localhost")).encryption is Encryption.NONE
    assert MailSink(MailSettings(server="mail.example.org")).encryption is Encryption.STARTTLS
    assert MailSink(MailSettings(server="localhost", encryption=Encryption.TLS)).encryption is Encryption.TLS


def test_the_password_is_in_no_representation() -> None:
    assert "hunter2" not in repr(MailSink(SETTINGS, "hunter2"))


def test_several_mails_go_through_one_connection() -> None:
    notifications: list[Notification] = [message_notification(number) for number in (1, 2)]
    with misbehaving_smtp_server() as server:
        outcome = MailSink(replace(SETTINGS, port=server.port), timeout=5).deliver(notifications)

    assert outcome.accepted == 2
    assert len(server.mails) == 2
    assert [line.partition(" ")[0].upper() for line in server.commands].count("EHLO") == 1
