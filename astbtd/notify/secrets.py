"""Reads the secrets of the sinks: passwords, and addresses that are secret.

They are in a YAML file that only root can read. systemd gives it to the networked unit as a credential
(systemd.exec(5), LoadCredential=): the unit's user needs no access to it. No error message contains a part of it.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from astbtd.errors import AstbtdError, BadConfiguration
from astbtd.lib import files
from astbtd.lib.local_settings import parse_yaml
from astbtd.lib.notify_settings import SECRETS_FILE
from astbtd.lib.serialization import Decoder

CREDENTIAL = "secrets"
"""The name of the credential in the units."""

_DIRECTORY = "CREDENTIALS_DIRECTORY"
_LARGEST = 1 << 16  # bytes
_OTHERS = 0o077


@dataclass(frozen=True)
class MailSecrets:
    """The password of `notify.mail.user`."""

    password: str | None = None


@dataclass(frozen=True)
class SentrySecrets:
    """The DSN of the project in the error tracker."""

    dsn: str | None = None


@dataclass(frozen=True)
class Secrets:
    """All secrets. `chat` has the address of each chat by its name."""

    mail: MailSecrets = field(default_factory=MailSecrets)
    sentry: SentrySecrets = field(default_factory=SentrySecrets)
    chat: Mapping[str, str] = field(default_factory=dict)


def load_secrets(environment: Mapping[str, str], file: Path = Path(SECRETS_FILE)) -> Secrets:
    """Read the secrets: the credential if systemd gives one, else the file; none if there is no file.

    Raise AstbtdError if it cannot be read, if others can read it, or if its content is invalid.
    """
    directory = environment.get(_DIRECTORY)
    path = Path(directory) / CREDENTIAL if directory else file
    try:
        content = _read(path, is_credential=directory is not None)
    except FileNotFoundError:
        return Secrets()
    except OSError as error:
        raise AstbtdError(f"cannot read the secrets {path}: {error.strerror}", "use sudo") from error
    return _parse(content, path)


def _read(path: Path, *, is_credential: bool) -> bytes:
    descriptor = files.open_regular(path)
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not is_credential and (stat.S_IMODE(status.st_mode) & _OTHERS or status.st_uid != os.geteuid()):
            raise AstbtdError(
                f"the secrets {path} are not only root's: others can read or change them",
                f"chown root:root {path} && chmod 600 {path}, and change what they could read",
            )
        return opened.read(_LARGEST)


def _parse(content: bytes, path: Path) -> Secrets:
    """Return the secrets in a YAML document. What PyYAML or the decoder say could contain some of them."""
    decoder = Decoder(strict=True)
    try:
        parsed = parse_yaml(content, str(path))
    except BadConfiguration:
        raise AstbtdError(f"the secrets {path} are not valid YAML", "see astbtd.yaml(5), section SECRETS") from None
    secrets = decoder.decode(Secrets, parsed.document, "")
    if secrets is None or parsed.problems:
        keys = ", ".join(sorted(map(_shown_key, (*decoder.problems, *parsed.problems))))
        raise AstbtdError(f"the secrets {path} have invalid values: {keys}", "see astbtd.yaml(5), section SECRETS")
    return secrets


def _shown_key(problem: str) -> str:
    """Return the key path of a problem. What is no key that we know may be a secret."""
    path = problem.partition(":")[0]
    known = {item.name for item in fields(Secrets)}
    return path if path.partition(".")[0] in known else "an unknown key"
