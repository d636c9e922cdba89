"""Sends to a chat or a webhook through apprise, which knows a hundred services (https://github.com/caronc/apprise).

apprise is optional: Debian has it since 12, as the package apprise.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astbtd.errors import AstbtdError
from astbtd.lib.escaping import printable, printable_line
from astbtd.lib.notify_settings import SECRETS_FILE
from astbtd.notify.combined_message import body_with_gap
from astbtd.notify.payload import Audience, Notification
from astbtd.notify.sinks.base import Outcome, Retry

if TYPE_CHECKING:
    import apprise

INSTALL = "apt install apprise"

_LOGGER = "apprise"
_SENT = "Sent "  # begins what the plugins of services log on success, without what the service has answered
_ACCEPTED = "accepted"
_SECRET_PART = re.compile(r"[^/:@?&=]{4,}")
_HIDDEN = "..."


@dataclass(frozen=True)
class ChatSink:
    """Sends to the address `url`, which is a secret; None if there is none."""

    name: str
    url: str | None = field(repr=False)
    audience: Audience = Audience.PEOPLE
    batch: int = 1

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:
        """Send the notifications. Raise AstbtdError if apprise is missing, or does not know the kind of address."""
        service = self._service()
        answer = ""
        for accepted, notification in enumerate(notifications):
            assert notification.message is not None
            with _collected_messages() as messages:
                sent = service.notify(
                    title=printable_line(notification.message.subject),
                    body=printable(body_with_gap(notification, notification.message)),
                    body_format="text",
                )
            if not sent:
                warnings = [record.getMessage() for record in messages if record.levelno >= logging.WARNING]
                return Outcome(accepted, Retry(self._describe(warnings)))
            said = [record.getMessage() for record in messages if record.getMessage().startswith(_SENT)]
            answer = self._describe(said[-1:] or [_ACCEPTED])
        return Outcome(len(notifications), None, answer)

    def _service(self) -> "apprise.Apprise":
        try:
            import apprise  # optional, and slow to import
        except ImportError:
            raise AstbtdError(f"{self.name}: apprise is not installed", INSTALL) from None
        if self.url is None:
            raise AstbtdError(
                f"there is no address for {self.name} of notify.chat",
                f"write it below `chat` in {SECRETS_FILE}, mode 0600",
            )
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="astbtd", async_mode=False))
        if not service.add(self.url):
            raise AstbtdError(
                f"{self.name}: apprise does not know this kind of address",
                f"see the README of apprise for the addresses of each service; this one is in {SECRETS_FILE}",
            )
        return service

    def _describe(self, messages: Sequence[str]) -> str:
        """Return what apprise says, without the parts of the address."""
        text = printable_line("; ".join(messages) or "apprise gives no reason")
        _, _, rest = (self.url or "").partition("://")
        for part in sorted(set(_SECRET_PART.findall(rest)), key=len, reverse=True):
            text = text.replace(part, _HIDDEN)
        return text


@contextmanager
def _collected_messages() -> Iterator[list[logging.LogRecord]]:
    """Collect what apprise logs during a block; it goes nowhere else."""
    collected: list[logging.LogRecord] = []
    handler = _Collector(collected)
    logger = logging.getLogger(_LOGGER)
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield collected
    finally:
        logger.propagate = before[0]
        logger.setLevel(before[1])
        logger.removeHandler(handler)


class _Collector(logging.Handler):
    """Collects records in a list."""

    def __init__(self, collected: list[logging.LogRecord]) -> None:
        super().__init__(logging.INFO)
        self._collected = collected

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record."""
        self._collected.append(record)
