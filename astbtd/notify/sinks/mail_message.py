"""Writes the mail for a notification: RFC 5322, with a text, and the same in HTML if that is configured. Pure.

No header can be injected: what goes into a header is one line of printable characters before it gets there.
"""

import html
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from astbtd.lib.escaping import printable, printable_line
from astbtd.lib.notify_settings import MailSettings
from astbtd.notify.combined_message import body_with_gap
from astbtd.notify.payload import Message, Notification

_NOT_IN_A_HOST_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_MAX_SUBJECT = 200  # characters

POLICY = SMTP.clone(cte_type="7bit")
"""Any server accepts such mail: not every one accepts bytes above 127."""


def write_mail(notification: Notification, message: Message, settings: MailSettings) -> EmailMessage:
    """Return the mail. Its Message-ID is made of the id of the notification, so that a repetition has the same."""
    host = mail_host(notification.host)
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _address(sender(settings, host))
    mail["To"] = [_address(each) for each in settings.to]
    mail["Subject"] = printable_line(message.subject)[:_MAX_SUBJECT]
    mail["Date"] = _date(notification.time)
    mail["Message-ID"] = f"<{notification.id}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation message is sent in return
    body = printable(body_with_gap(notification, message))
    mail.set_content(body)
    if settings.html:
        mail.add_alternative(_page(message.subject, body), subtype="html")
    return mail


def sender(settings: MailSettings, host: str) -> str:
    """Return the address of the sender."""
    return settings.sender or f"astbtd@{host}"


def mail_host(host: str) -> str:
    """Return a host name as it can be part of an address."""
    return _NOT_IN_A_HOST_NAME.sub("-", host).strip("-.") or "localhost"


def _address(text: str) -> Address:
    """Return an address for a header. A user of this machine has no domain."""
    user, _, domain = text.partition("@")
    return Address(username=user, domain=domain)


def _date(moment: datetime) -> str:
    return format_datetime(moment)


def _page(subject: str, body: str) -> str:
    """Return the text as an HTML document. Everything in it is escaped."""
    title = html.escape(printable_line(subject))
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        f'<body><h3>{title}</h3>\n<pre style="white-space: pre-wrap">{html.escape(body)}</pre></body></html>\n'
    )
