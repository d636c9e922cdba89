"""Chats and webhooks: failures that apprise reports, and what may be said of them."""

import sys

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.sinks.base import Retry
from astbtd.notify.sinks.chat import ChatSink
from tests.support.notifications import message_notification
from tests.support.webhook import running_webhook

apprise = pytest.importorskip("apprise")


def test_messages_are_sent_in_order_until_one_is_not_accepted() -> None:
    with running_webhook() as webhook:
        sink = ChatSink("chat-ops", f"json://127.0.0.1:{webhook.port}/")
        accepted = sink.deliver([message_notification(1), message_notification(2)])
        webhook.status = 500
        refused = sink.deliver([message_notification(3)])

    assert (accepted.accepted, accepted.problem) == (2, None)
    assert accepted.answer.startswith("Sent JSON")
    assert b"number 1" in webhook.bodies[0]
    assert b"number 2" in webhook.bodies[1]
    assert refused.accepted == 0
    assert isinstance(refused.problem, Retry)
    assert "500" in refused.problem.reason


def test_nobody_listens_and_the_address_is_not_in_the_reason() -> None:
    sink = ChatSink("chat-ops", "json://astbtd:s3cr3tt0ken@127.0.0.1:1/hooks/0123456789abcdef?token=zzzzzzzz")

    outcome = sink.deliver([message_notification()])

    assert isinstance(outcome.problem, Retry)
    for secret in ("s3cr3tt0ken", "0123456789abcdef", "zzzzzzzz"):
        assert secret not in outcome.problem.reason
    assert "s3cr3tt0ken" not in repr(sink)


def test_a_control_character_is_escaped() -> None:
    with running_webhook() as webhook:
        sink = ChatSink("chat-ops", f"json://127.0.0.1:{webhook.port}/")
        sink.deliver([message_notification(1, "a\r\nb\x1b[31m")])

    assert rb"a\\x0d\\nb\\x1b[31m" in webhook.bodies[0]


@pytest.mark.parametrize("url", ["nonsense://s3cr3t", "", "s3cr3t"])
def test_an_address_of_an_unknown_kind_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(AstbtdError, match="does not know this kind of address") as raised:
        ChatSink("chat-ops", url).deliver([message_notification()])
    assert "s3cr3t" not in raised.value.message + raised.value.remedy


def test_without_an_address_or_without_apprise_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AstbtdError, match="there is no address for chat-ops"):
        ChatSink("chat-ops", None).deliver([message_notification()])
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(AstbtdError, match="apprise is not installed") as raised:
        ChatSink("chat-ops", "json://x").deliver([message_notification()])
    assert raised.value.remedy == "apt install apprise"
