"""Which sinks the settings name, and what becomes of them without their secrets."""

import pytest

from astbtd.errors import AstbtdError
from astbtd.lib.notify_settings import MailSettings, NotifySettings, SentrySettings
from astbtd.notify.payload import Audience
from astbtd.notify.secrets import Secrets, SentrySecrets
from astbtd.notify.sinks.configured import audiences, configured_sinks, sink_names
from tests.support.notifications import crash_notification
from tests.support.tracker_stub import tracker_stub

TRACKER = NotifySettings(sentry=SentrySettings(enabled=True))


def test_without_settings_there_is_no_sink() -> None:
    assert sink_names(NotifySettings()) == []
    assert audiences(NotifySettings()) == frozenset()


def test_each_kind_of_sink_is_there_if_it_is_configured() -> None:
    settings = NotifySettings(MailSettings(to=("root",)), chat=("ops",), sentry=SentrySettings(enabled=True))

    assert sink_names(settings) == ["mail", "chat-ops", "sentry"]
    assert audiences(settings) == {Audience.PEOPLE, Audience.TRACKER}


def test_the_tracker_is_the_one_of_the_secrets() -> None:
    with tracker_stub() as stub:
        (sink,) = configured_sinks(TRACKER, Secrets(sentry=SentrySecrets(stub.dsn)))

        assert sink.deliver([crash_notification()]).accepted == 1


def test_a_tracker_without_dsn_cannot_be_used_and_says_where_to_write_it() -> None:
    (sink,) = configured_sinks(TRACKER, Secrets())

    with pytest.raises(AstbtdError, match=r"there is no DSN for notify\.sentry") as raised:
        sink.deliver([crash_notification()])
    assert raised.value.remedy == "write it below `sentry` in /etc/astbtd.secrets, mode 0600"


def test_a_sink_whose_secrets_cannot_be_read_fails_with_the_reason() -> None:
    (sink,) = configured_sinks(TRACKER, AstbtdError("cannot read the secrets"))

    with pytest.raises(AstbtdError, match="cannot read the secrets"):
        sink.deliver([crash_notification()])
