"""The DSN of a project in an error tracker: where its events are sent to, and the key that permits it.

`https://KEY@HOST[:PORT][/PATH]/PROJECT` (https://develop.sentry.dev/sdk/overview/, "Parsing the DSN"). It is a secret.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from astbtd import __version__
from astbtd.errors import AstbtdError

CLIENT = f"astbtd/{__version__}"
"""What sends, as servers are told."""

_HINT = "copy the DSN from the settings of the project in your error tracker: https://KEY@HOST/PROJECT"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")


@dataclass(frozen=True)
class Dsn:
    """A parsed DSN. `path` is the part of the server's address before `/api/`, empty for most. `key` is the secret."""

    host: str
    port: int | None
    path: str
    project: str
    key: str = field(repr=False)
    encrypted: bool = True

    @property
    def envelope_path(self) -> str:
        """The path that envelopes are sent to."""
        return f"{self.path}/api/{self.project}/envelope/"

    @property
    def authentication(self) -> str:
        """The value of the header X-Sentry-Auth."""
        return f"Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={self.key}"


def parse_dsn(text: str) -> Dsn:
    """Parse a DSN. Raise AstbtdError, whose message does not have the key, if it is not one.

    Without encryption anybody on the way could read the key, so `http` is accepted for the loopback interface only.
    """
    try:
        address = urlsplit(_on_one_line(text.strip()))
        port = address.port
    except ValueError as error:
        raise AstbtdError("the DSN of the error tracker is invalid", _HINT) from error
    host, path_and_project = address.hostname or "", address.path.rstrip("/")
    path, _, project = path_and_project.rpartition("/")
    _check(address, host, path, project)
    encrypted = address.scheme == "https"
    if not encrypted and not _is_loopback(host):
        raise AstbtdError(f"the DSN of the error tracker at {host} has no https: its key would be readable", _HINT)
    return Dsn(host, port, path, project, address.username or "", encrypted)


def _on_one_line(text: str) -> str:
    """Return the text; raise ValueError if it has a character that urlsplit would leave out, such as a newline."""
    if not text.isprintable():
        raise ValueError("not printable")
    return text


def _check(address: SplitResult, host: str, path: str, project: str) -> None:
    """Raise AstbtdError if a part is missing or has characters that it cannot have."""
    parts = (
        ("scheme", address.scheme in ("https", "http")),
        ("key", _KEY.fullmatch(address.username or "")),
        ("host", _HOST.fullmatch(host)),
        ("path", _PATH.fullmatch(path)),
        ("project", _PROJECT.fullmatch(project)),
        ("end", not address.query and not address.fragment),
    )
    wrong = [name for name, is_valid in parts if not is_valid]
    if wrong:
        raise AstbtdError(f"the DSN of the error tracker is invalid: its {' and '.join(wrong)}", _HINT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
