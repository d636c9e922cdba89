"""Send crashes to an error tracker that speaks the Sentry protocol: Sentry, GlitchTip or Bugsink.

The envelope is sent with Python's HTTP client, not with sentry-sdk, which sends from a queue in the background, and
drops events when the queue is full, after an error, and when the server wants a pause. Here an event is delivered when
the server has answered with its id.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from astbtd.errors import AstbtdError
from astbtd.lib.escaping import printable_line
from astbtd.lib.files import wrap_os_error
from astbtd.lib.notify_settings import SECRETS_FILE
from astbtd.notify.payload import Audience, Notification
from astbtd.notify.sentry_envelope import compress, make_envelope
from astbtd.notify.sentry_event import make_event
from astbtd.notify.sinks.base import Outcome, Refused, Retry
from astbtd.notify.sinks.http_connection import Answer, HttpConnection, Server, Unreachable
from astbtd.notify.sinks.rate_limit_headers import pause_of
from astbtd.notify.sinks.sentry_dsn import CLIENT, Dsn, parse_dsn

TIMEOUT = 30.0
"""Seconds for a request and its answer."""

_BATCH = 20
_MOST_SHOWN = 200  # characters of an answer
_OK, _BAD_REQUEST, _TOO_LARGE = 200, 400, 413
_REDIRECTIONS = range(300, 400)
_WRONG_DSN = (401, 403, 404)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SentrySink:
    """A project in an error tracker, named by its DSN.

    `ca_file` has the certificates to trust, by default the system's; `timeout` is in seconds. While the server wants to
    get nothing more, nothing is sent.
    """

    name = "sentry"
    audience = Audience.TRACKER
    batch = _BATCH

    def __init__(
        self,
        dsn: str | None,
        *,
        timeout: float = TIMEOUT,
        ca_file: str | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._ca_file = ca_file
        self._now = now
        self._monotonic = monotonic
        self._silent_until = 0.0

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:
        """Send each notification in an envelope of its own. Raise AstbtdError if the DSN cannot be used."""
        dsn = self._parse_dsn()
        answer = ""
        with wrap_os_error(f"cannot use the certificates of {self._ca_file}"):  # ssl.SSLError is an OSError
            connection = HttpConnection(Server(dsn.host, dsn.port, dsn.encrypted, self._timeout, self._ca_file))
        try:
            for accepted, notification in enumerate(notifications):
                result = self._send(connection, dsn, notification)
                if not isinstance(result, str):
                    return Outcome(accepted, result, answer or result.reason)
                answer = result
            return Outcome(len(notifications), None, answer)
        finally:
            connection.close()

    def _parse_dsn(self) -> Dsn:
        if self._dsn is None:
            raise AstbtdError(
                "there is no DSN for notify.sentry", f"write it below `sentry` in {SECRETS_FILE}, mode 0600"
            )
        return parse_dsn(self._dsn)

    def _send(self, connection: HttpConnection, dsn: Dsn, notification: Notification) -> str | Retry | Refused:
        """Send one notification; return the server's answer in a line if it has accepted it."""
        remaining = self._silent_until - self._monotonic()
        if remaining > 0:
            return Retry(f"{dsn.host} wants a pause", remaining)
        texts = notification.crash.texts if notification.crash else {}
        try:
            answer = self._post(connection, dsn, notification, texts)
            if answer.status == _TOO_LARGE and texts:
                answer = self._post(connection, dsn, notification, {})
        except Unreachable as error:
            return Retry(error.message)
        pause = pause_of(answer.status, answer.headers, self._now())
        self._silent_until = self._monotonic() + (pause or 0)
        if is_acknowledged(answer, notification.id):
            return f"{dsn.host}: {answer.status}, id {notification.id}"
        return judge_failure(dsn.host, answer, pause)

    def _post(
        self, connection: HttpConnection, dsn: Dsn, notification: Notification, texts: Mapping[str, str]
    ) -> Answer:
        now = self._now()
        envelope = make_envelope(make_event(notification, now), texts, now)
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "X-Sentry-Auth": dsn.authentication,
            "User-Agent": CLIENT,
        }
        return connection.post(dsn.envelope_path, headers, compress(envelope))


def is_acknowledged(answer: Answer, event_id: str) -> bool:
    """Return whether an answer says that the server has this event: status 200, and the id in a JSON object."""
    said = _json_object(answer.body).get("id")
    return answer.status == _OK and isinstance(said, str) and said.replace("-", "").lower() == event_id


def judge_failure(host: str, answer: Answer, pause: float | None) -> Retry | Refused:
    """Return what to do about an answer that is no acknowledgement.

    Only an error tracker, which answers in JSON, can say that an event is not acceptable: any other answer comes from
    something before it, such as a proxy, or from a wrong address, and the next one may be different.
    """
    said = _describe(answer)
    if answer.status in (_BAD_REQUEST, _TOO_LARGE) and _json_object(answer.body):
        return Refused(f"{host} answered {answer.status}: {said}")
    if answer.status in _REDIRECTIONS:
        target = printable_line(answer.headers.get("location", "nowhere"))[:_MOST_SHOWN]
        return Retry(f"{host} answered {answer.status}: redirected to {target}, which is not followed", pause)
    if answer.status == _OK:
        return Retry(f"{host} answered 200, but not as an error tracker does: {said}", pause)
    if answer.status in _WRONG_DSN:
        return Retry(f"{host} answered {answer.status}: {said}: check the DSN", pause)
    return Retry(f"{host} answered {answer.status}: {said}", pause)


def _describe(answer: Answer) -> str:
    """Return in a line what an answer says: the header or the members that trackers use, or else how it begins."""
    document = _json_object(answer.body)
    said = answer.headers.get("x-sentry-error") or document.get("detail") or document.get("message")
    text = said if isinstance(said, str) else answer.body[:_MOST_SHOWN].decode(errors="replace")
    return printable_line(text)[:_MOST_SHOWN] or "nothing"


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
