"""Tells from the name of a field, variable, header or key whether its value is private.

The names are those of Asterisk, pjproject, ODBC, HTTP, AMI, ARI and of environments.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from astbtd.store.redaction.placeholders import Kind

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")

_SECRET_PARTS = (
    *("passw", "passphrase", "passcode", "passkey", "secret", "credential", "md5cred", "authpass", "userpass"),
    *("apikey", "authkey", "accesskey", "privatekey", "privkey", "masterkey", "sessionkey", "encryptionkey"),
    *("srtpkey", "sharedkey", "cryptkey", "aeskey", "authtoken", "vmpin", "authorization", "phpsessid"),
)
_SECRET_WORDS = frozenset(
    (
        *("pass", "pwd", "pw", "pin", "pins", "token", "tokens", "cred", "creds", "psk", "otp", "jwt", "passport"),
        *("cookie", "cookies", "nonce", "cnonce", "sessid"),
    )
)
_SECRET_NAMES = frozenset(
    (
        *("sessionid", "ha1", "ha2", "a1hash", "icepwd", "confpin", "adminpin", "userpin", "pinadmin", "pinmember"),
        *("rootpw", "dbpw", "bindpw", "key64", "inlinekey"),
    )
)
_SECRET_ENDINGS = ("pass", "pwd")
_HARMLESS_ENDINGS = ("bypass", "compass", "encompass", "surpass", "multipass")
# A name that ends with one of these words describes a secret, but is none.
_DESCRIPTIONS = frozenset(
    (
        *("len", "length", "size", "sz", "count", "cnt", "type", "kind", "valid", "max", "min", "offset", "flags"),
        *("file", "filename", "path", "dir", "func", "fn", "cb", "callback", "handler", "idx", "index", "expires"),
        *("expiry", "expiration", "ttl", "lifetime", "age", "timeout", "required", "enabled", "policy", "mode"),
        *("format", "alg", "algorithm", "url", "uri", "realm", "bits", "state", "status", "result", "pos"),
    )
)
_NAME_PARTS = (
    *("cidname", "callername", "calleridname", "displayname", "fullname", "connectedname", "connectedlinename"),
    *("redirectingname", "realname", "dispname", "clidname"),
)
_NUMBER_PARTS = (
    *("cidnum", "callerid", "callernum", "dnid", "rdnis", "connectednum", "connectedlinenum", "redirectingnum"),
    *("accountcode", "peeraccount", "effectivecid", "msisdn", "phonenumber", "dialednum", "cardnum"),
)
_NUMBER_NAMES = frozenset(("ani", "clid"))
_USER_NAMES = frozenset(
    (
        *("user", "username", "authuser", "authusername", "authname", "authid", "defaultuser", "fromuser", "uid"),
        *("loginname", "remoteuser", "localuser", "peername", "turnusername"),
    )
)
_HOST_NAMES = frozenset(
    (
        "host",
        "hostname",
        "domain",
        "fromdomain",
        "fromhost",
        "tohost",
        "remotehost",
        "localhost",
        "servername",
        "peerhost",
    )
)


@lru_cache(4096)
def classify_name(name: str) -> Kind | None:
    """Return the kind of private data that a field of this name holds, None if its value decides."""
    normalized = _NOT_ALPHANUMERIC.sub("", name.lower())
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _DESCRIPTIONS:
        return None
    if _is_secret(normalized, words):
        return Kind.SECRET
    if _has_part(normalized, _NAME_PARTS):
        return Kind.NAME
    if normalized in _NUMBER_NAMES or _has_part(normalized, _NUMBER_PARTS):
        return Kind.NUMBER
    if normalized in _USER_NAMES:
        return Kind.USER
    return Kind.HOST if normalized in _HOST_NAMES else None


def is_key_file(name: str, value: str) -> bool:
    """Return whether a value under the name of a secret is a path: of a key, or PWD, the working directory."""
    return value.startswith("/") and value.count("/") > 1 and name.lower().endswith(("key", "pwd", "cert"))


def _is_secret(normalized: str, words: list[str]) -> bool:
    if normalized in _SECRET_NAMES or _has_part(normalized, _SECRET_PARTS):
        return True
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    return words[-1].endswith(_SECRET_ENDINGS) and not words[-1].endswith(_HARMLESS_ENDINGS)


def _has_part(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)
