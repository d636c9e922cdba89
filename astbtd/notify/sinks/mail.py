"""Sends mail through an SMTP server: the one of this machine, or a configured one, with STARTTLS or TLS and a login."""

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from astbtd.errors import AstbtdError
from astbtd.lib.escaping import printable_line
from astbtd.lib.notify_settings import SECRETS_FILE, Encryption, MailSettings
from astbtd.notify.payload import Audience, Notification
from astbtd.notify.sinks.base import Outcome, Refused, Retry
from astbtd.notify.sinks.mail_message import POLICY, mail_host, sender, write_mail

TIMEOUT = 30.0
"""Seconds that the server has for each answer."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_OK = 250
_PERMANENT = 500
_UNAVAILABLE = 421
_CONTENT_REFUSED = (552, 554)  # RFC 5321: too large, or the content is rejected


class _TryLater(Exception):
    """The server does not accept the mail now."""


@dataclass(frozen=True)
class MailSink:
    """Sends to the recipients in `settings`. `password` is that of the configured user."""

    settings: MailSettings
    password: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    name: str = "mail"
    audience: Audience = Audience.PEOPLE
    batch: int = 1

    def deliver(self, notifications: Sequence[Notification]) -> Outcome:
        """Send each notification as a mail, through one connection. Raise AstbtdError if the password is missing."""
        accepted, answer, remark = 0, "", ""
        try:
            connection = self._connect(notifications[0].host)
        except (OSError, smtplib.SMTPException, _TryLater, UnicodeError) as error:
            return Outcome(0, Retry(self._describe(error)))
        try:
            for notification in notifications:
                answer, remark = self._send(connection, notification)
                accepted += 1
        except _ContentRefused as refused:
            return Outcome(accepted, Refused(str(refused)), answer, remark)
        except (OSError, smtplib.SMTPException, _TryLater) as error:
            return Outcome(accepted, Retry(self._describe(error)), answer, remark)
        finally:
            with suppress(OSError, smtplib.SMTPException):  # what was accepted stays accepted
                connection.quit()
            connection.close()
        return Outcome(accepted, None, answer, remark)

    @property
    def encryption(self) -> Encryption:
        """How the connection is encrypted."""
        if self.settings.encryption is not Encryption.AUTO:
            return self.settings.encryption
        return Encryption.NONE if self.settings.server in _LOCAL else Encryption.STARTTLS

    def _connect(self, host: str) -> smtplib.SMTP:
        """Return a connection, encrypted and logged in as configured."""
        server, port = self.settings.server, self.settings.port
        name = mail_host(host)
        if self.encryption is Encryption.TLS:
            context = ssl.create_default_context()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(server, port, name, timeout=self.timeout, context=context)
        else:
            connection = smtplib.SMTP(server, port, name, timeout=self.timeout)
        try:
            connection.ehlo_or_helo_if_needed()
            if self.encryption is Encryption.STARTTLS:
                connection.starttls(context=ssl.create_default_context())
                connection.ehlo_or_helo_if_needed()
            self._log_in(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _log_in(self, connection: smtplib.SMTP) -> None:
        if self.settings.user is None:
            return
        if self.password is None:
            raise AstbtdError(
                "there is no password for notify.mail.user", f"write it below `mail` in {SECRETS_FILE}, mode 0600"
            )
        if self.encryption is Encryption.NONE and self.settings.server not in _LOCAL:
            raise AstbtdError(
                "the password would not be encrypted on its way", "set notify.mail.encryption to starttls or tls"
            )
        try:
            connection.login(self.settings.user, self.password)
        except smtplib.SMTPAuthenticationError as error:
            raise _TryLater(f"the login was refused: {error.smtp_code}") from None  # some servers repeat the password

    def _send(self, connection: smtplib.SMTP, notification: Notification) -> tuple[str, str]:
        """Send one mail. Return the server's answer, and a remark if it refused some of the recipients."""
        assert notification.message is not None
        mail = write_mail(notification, notification.message, self.settings)
        _check(connection.mail(sender(self.settings, mail_host(notification.host))), "the sender")
        refused = [text for each in self.settings.to if (text := _refusal(connection.rcpt(each), each))]
        if len(refused) == len(self.settings.to):
            connection.rset()
            raise _TryLater("; ".join(refused))
        code, answer = connection.data(mail.as_bytes(policy=POLICY))
        if code in _CONTENT_REFUSED:
            raise _ContentRefused(_format(code, answer))
        _check((code, answer), "the mail")
        return _format(code, answer), "; ".join(refused)

    def _describe(self, error: Exception) -> str:
        """Return what failed, where and why, in one line."""
        where = f"{self.settings.server}:{self.settings.port}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{where}: its certificate is not valid: {error.verify_message}"
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{where}: {_format(error.smtp_code, error.smtp_error)}"
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return printable_line(f"{where}: {text or type(error).__name__}")


class _ContentRefused(Exception):
    """The server will never accept this mail."""


def _refusal(answer: tuple[int, bytes], recipient: str) -> str:
    """Return how a recipient was refused, nothing if it was not. Raise _TryLater if the server closes."""
    code, _ = answer
    if code == _UNAVAILABLE:
        _check(answer, recipient)
    return "" if _OK <= code < _OK + 2 else f"{recipient}: {_format(*answer)}"


def _check(answer: tuple[int, bytes], what: str) -> None:
    if answer[0] != _OK:
        raise _TryLater(f"{what}: {_format(*answer)}")


def _format(code: int, answer: bytes | str) -> str:
    """Return an answer of the server on one line."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return printable_line(f"{code} {text[:300]}")
