"""The mail for a notification."""

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.lib.notify_settings import MailSettings
from astbtd.notify.payload import Message, Notification
from astbtd.notify.sinks.mail_message import POLICY, write_mail
from tests.support.notifications import message_notification

SETTINGS = MailSettings(to=("ops@example.org", "root"))
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "MIME-Version"}


def written(notification: Notification, settings: MailSettings = SETTINGS) -> EmailMessage:
    """Return the mail as a reader parses it."""
    assert notification.message
    mail = write_mail(notification, notification.message, settings)
    parsed = message_from_bytes(mail.as_bytes(policy=POLICY), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content()).replace("\r\n", "\n")


def with_text(subject: str, body: str, host: str = "pbx7") -> Notification:
    return replace(message_notification(), host=host, message=Message(subject, body, "why"))


def test_the_mail_has_subject_sender_recipients_and_the_text() -> None:
    mail = written(message_notification())

    assert mail["Subject"] == "[pbx7] Asterisk crashed: SIGSEGV in f (new)"
    assert (mail["From"], mail["To"]) == ("astbtd@pbx7", "ops@example.org, root")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{message_notification().id}@pbx7>"
    assert text_of(mail) == "Asterisk crashed: SIGSEGV in f\nnumber 1\n"
    assert not mail.is_multipart()


def test_a_repetition_has_the_same_message_id() -> None:
    assert written(message_notification())["Message-ID"] == written(message_notification())["Message-ID"]
    assert written(message_notification(1))["Message-ID"] != written(message_notification(2))["Message-ID"]


def test_the_html_part_is_optional_and_escaped() -> None:
    mail = written(with_text("<b>x</b>", "<script>alert(1)</script> & more\n"), replace(SETTINGS, html=True))

    assert mail.get_content_type() == "multipart/alternative"
    page = mail.get_body(("html",))
    assert page
    content = page.get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in content
    assert "<script" not in content
    assert "<b>" not in content


def test_what_was_lost_before_is_said() -> None:
    assert "2 earlier events were removed before it could be reported." in text_of(
        written(message_notification().after_gap(2))
    )


INJECTIONS = ["\r\nBcc: evil@example.org", "\nX: y\n\nbody", "\r\n.\r\nMAIL FROM:<x>", "\0\x0b\x0c\x85\u2028Bcc: x"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_header_can_be_injected(text: str) -> None:
    mail = written(with_text(f"a{text}", f"b{text}", f"c{text}"))

    assert set(mail.keys()) <= HEADERS | {"Content-Transfer-Encoding"}
    assert "evil" not in str(mail["Bcc"])


@given(st.text(), st.text(), st.text())
def test_any_text_gives_a_mail_with_exactly_these_headers(subject: str, body: str, host: str) -> None:
    notification = with_text(subject, body, host)
    assert notification.message
    sent = write_mail(notification, notification.message, SETTINGS).as_bytes(policy=POLICY)

    head, _, _ = sent.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert {name.decode() for name in names} <= HEADERS | {"Content-Transfer-Encoding"}
    assert len(names) == len(set(names))
    assert sent.isascii()
    assert all(len(line) <= 998 for line in sent.split(b"\r\n"))
