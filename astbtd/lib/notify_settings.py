"""The settings below `notify`: which sinks there are. Their secrets are in a file of their own (notify/secrets.py)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from astbtd.lib.serialization import HumanFormat
from astbtd.lib.setting_formats import OptionalPath, PathText

SECRETS_FILE = "/etc/astbtd.secrets"
"""The file with passwords and addresses that are secret. Only root can read it."""

_SECRET_KEYS = {
    "mail": ("password",),
    "chat": ("url", "urls", "token", "password"),
    "sentry": ("dsn", "token", "password"),
}

# RFC 5321 permits more; what is left out here could be taken for several addresses or for another header.
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}|[a-z_][a-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_SINK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_HIGHEST_PORT = 65535


class Encryption(StrEnum):
    """How a connection to a mail server is encrypted."""

    AUTO = "auto"
    """`none` if the server is this machine, else `starttls`."""
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Attached(StrEnum):
    """Which texts of a crash are sent along with it."""

    NOTHING = "nothing"
    REDACTED = "redacted"


def _matching(pattern: re.Pattern[str], allowed: str) -> HumanFormat:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(value)
        return value

    return HumanFormat(parse, allowed, shows_value=False)


def _parse_port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _HIGHEST_PORT:
        raise ValueError(value)
    return value


def _parse_login(value: object) -> str | None:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError(value)
    return value


_ADDRESS = _matching(_MAIL_ADDRESS, "a mail address, or the name of a user of this machine")

MailAddress = Annotated[str, _ADDRESS]
OptionalMailAddress = Annotated[str | None, _ADDRESS]
MailHost = Annotated[str, _matching(_HOST, "the name or the address of a machine")]
Port = Annotated[int, HumanFormat(_parse_port, f"a port: a whole number from 1 to {_HIGHEST_PORT}")]
Login = Annotated[str | None, HumanFormat(_parse_login, "the name of a user", shows_value=False)]
SinkName = Annotated[str, _matching(_SINK_NAME, "a name of small letters, digits and '-'")]


@dataclass(frozen=True)
class MailSettings:
    """Mail to people. There is none if `to` is empty. The password of `user` is in the secrets."""

    to: tuple[MailAddress, ...] = ()
    sender: OptionalMailAddress = None
    server: MailHost = "localhost"
    port: Port = 25
    encryption: Encryption = Encryption.AUTO
    user: Login = None
    html: bool = False


@dataclass(frozen=True)
class SentrySettings:
    """An error tracker that speaks the Sentry protocol. Its DSN is in the secrets.

    `ca_file` has the certificates to trust, None means the system's.
    """

    enabled: bool = False
    attach: Attached = Attached.NOTHING
    ca_file: OptionalPath = None


@dataclass(frozen=True)
class NotifySettings:
    """What is notified where. `chat` are names; the address that each stands for is in the secrets.

    `directory` is the one of the networked unit; the spool is beside it.
    """

    mail: MailSettings = field(default_factory=MailSettings)
    chat: tuple[SinkName, ...] = ()
    sentry: SentrySettings = field(default_factory=SentrySettings)
    directory: PathText = "/var/lib/astbtd-notify"


def take_secrets_out(document: object) -> Iterator[str]:
    """Remove each secret from a configuration, and yield an error for it, which does not contain it.

    Everybody can read the configuration. The rest of it can then be checked as usual.
    """
    notify = document.get("notify") if isinstance(document, Mapping) else None
    if not isinstance(notify, dict):
        return
    for sink, secrets in _SECRET_KEYS.items():
        settings = notify.get(sink)
        for key in secrets:
            if isinstance(settings, dict) and key in settings:
                del settings[key]
                yield f"notify.{sink}.{key}: no secret may be in this file, which everybody can read; {_move_it(sink)}"
    if _has_address(notify.get("chat")):
        notify["chat"] = []
        yield f"notify.chat: an address of a chat or webhook is a secret: give it a name here; {_move_it('chat')}"


def _has_address(chat: object) -> bool:
    """Return whether somebody wrote addresses in the place of the names of chats."""
    return isinstance(chat, str | list | tuple) and "://" in str(chat)


def _move_it(sink: str) -> str:
    return f"write it below `{sink}` in {SECRETS_FILE}, mode 0600, and change it where it was readable"
