"""The sinks that the settings name. Which there are is known without their secrets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.lib.notify_settings import NotifySettings
from astbtd.notify.payload import Audience, Notification
from astbtd.notify.secrets import Secrets
from astbtd.notify.sinks.base import Outcome, Sink
from astbtd.notify.sinks.chat import ChatSink
from astbtd.notify.sinks.mail import MailSink
from astbtd.notify.sinks.sentry import SentrySink


@dataclass(frozen=True)
class UnusableSink:
    """A sink that cannot be used because of `error`: what it should get is kept, as after any other failure."""

    name: str
    audience: Audience
    error: AstbtdError
    batch: int = 1

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:  # noqa: ARG002 # of the interface
        """Raise the error."""
        raise self.error


def configured_sinks(settings: NotifySettings, secrets: Secrets | AstbtdError) -> list[Sink]:
    """Return the sinks. If the secrets could not be read, they are there, and fail with that error."""
    if isinstance(secrets, AstbtdError):
        return [UnusableSink(sink.name, sink.audience, secrets) for sink in _make(settings, Secrets())]
    return list(_make(settings, secrets))


def sink_names(settings: NotifySettings) -> list[str]:
    """Return the names of the sinks."""
    return [sink.name for sink in _make(settings, Secrets())]


def audiences(settings: NotifySettings) -> frozenset[Audience]:
    """Return whom the sinks serve."""
    return frozenset(sink.audience for sink in _make(settings, Secrets()))


def _make(settings: NotifySettings, secrets: Secrets) -> Iterator[Sink]:
    if settings.mail.to:
        yield MailSink(settings.mail, secrets.mail.password)
    for name in settings.chat:
        yield ChatSink(f"chat-{name}", secrets.chat.get(name))
    if settings.sentry.enabled:
        yield SentrySink(secrets.sentry.dsn, ca_file=settings.sentry.ca_file)
