r"""Rules that find secrets in text: headers, `key=value`, JSON, credentials of HTTP and SIP, keys and tokens.

Each rule yields spans of a text without escape sequences. A rule visits a character a bounded number of times.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from astbtd.store.redaction.name_rules import classify_name, is_key_file
from astbtd.store.redaction.placeholders import Kind


class Span(NamedTuple):
    """A part of a text to replace. `key` is the value whose placeholder is used; None stands for the text itself."""

    start: int
    end: int
    kind: Kind
    key: str | None = None


Rule = Callable[[str], Iterator[Span]]

_LINE_START = r"(?:^|(?<=[\r\n\0])|(?<=\\[rn]))"
_REST_OF_LINE = r"(?:[^\r\n\0\\]|\\(?![rn]))*(?:\r?\n[ \t]+(?:[^\r\n\0\\]|\\(?![rn]))+)*"
_HEADER = re.compile(
    rf"{_LINE_START}[ \t]{{0,8}}(?P<key>[A-Za-z][\w.-]{{0,40}}+)"
    rf"[ \t]{{0,4}}:(?!:)[ \t]{{0,8}}(?P<value>{_REST_OF_LINE})"
)
_AUTHORIZATION = re.compile(r"(?i)(?:proxy-|www-)?(?:authorization|authenticate)")
_KNOWN_SCHEME = re.compile(r"(?i)\\{0,3}[\"']?(?:basic|bearer|digest) ")  # its credentials have rules of their own
_SCHEME = re.compile(r"[\w-]+[ \t]+")
_WHOLE_HEADERS = frozenset(("cookie", "set-cookie", "identity", "y", "x-api-key", "x-auth-token", "authenticationinfo"))
_HEX_KEY = re.compile(r"[0-9a-fA-F]{16,}\s*")

_KEY = re.compile(r"""(?<![\w.-])(?P<key>[\w.-]{1,64}+)(?P<quote>\\{0,3}["'])?\s{0,4}(?:=>?|:)(?![=:])\s{0,4}""")
_OTHER_KEY = r"\s{0,3}[\w.$()-]{1,40}+\s{0,2}(?:=|:(?!//))"
_QUOTED_VALUE = re.compile(
    r"""(?P<quote>\\{1,3}"|\\{1,3}')(?P<escaped>(?:(?!(?P=quote))[^\r\n\0])*)|"""
    r""""(?P<double>(?:[^"\\\r\n\0]|\\[^\r\n\0])*+)|'(?P<single>[^'\r\n\0]*+)"""
)
_PLAIN_VALUE = re.compile(rf"""(?:(?!\\[rn])[^\s,;&|"'\0]|["'](?=[^\s,;&|)}}\]:"'])|[ \t,;&|](?!{_OTHER_KEY}))+""")
_POINTER = re.compile(r"0x[0-9a-fA-F]+(?![0-9a-zA-Z])")
_NO_SECRETS = frozenset(("true", "false", "null", "none", "yes", "no", "(null)", "<null>", "nil", "0"))

_DIGEST = re.compile(r"\b[Dd]igest[ \t][^\r\n\0]*")
_DIGEST_FIELD = re.compile(
    r"""(?i)\b(?P<key>username|response|c?nonce|opaque|auts)\s{0,3}=\s{0,3}\\{0,3}(?P<value>"[^"\r\n\0\\]*+|[^\s,"\\]++)"""
)
_HASH_FIELD = re.compile(r"""(?i)\b(?:response|c?nonce|opaque)\s{0,3}=\s{0,3}\\{0,3}["']?(?P<value>[0-9a-f]{16,}+)""")
_QUOTED_HASH = re.compile(r"""(?<=["'])(?P<value>[0-9a-fA-F]{32}|[0-9a-fA-F]{64})(?=\\{0,3}["'])""")
_BEARER = re.compile(r"(?i)\bbearer\s{1,4}(?P<value>[\w+/=.~-]{8,}+)")
_BASIC = re.compile(r"(?i)\bbasic\s{1,4}(?P<value>[\w+/=-]{6,}+)")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{8,}+(?:\.[\w-]*+){0,2}")
_INLINE = re.compile(r"\binline:(?P<value>[\w+/=|^:]{3,}+)")
_PEM = re.compile(r"-----BEGIN (?P<type>[A-Z0-9 ]{0,24})PRIVATE KEY-----(?P<value>(?:[^\"'<>-]|-(?!----))*)")
_KEY_MATERIAL = re.compile(
    r"(?<![\w+/=])(?:MI[GICE][A-Za-z0-9+/]|b3BlbnNzaC1rZXk)[A-Za-z0-9+/=]{32,}+"
    r"(?:\s+[A-Za-z0-9+/=]{16,}+)*+"
)
_USER_INFO = re.compile(
    r"""(?i)(?:://|\bsips?:|\biax2?:|\bturns?:|\bsips?%3a)(?P<user>[^\s:@/"'<>%\\]{1,64}+)"""
    r"""(?::|%3a)(?P<password>(?:[^\s@/"'<>\\%]|%(?!40)){1,128})(?=@|%40)"""
)
_ENCODED_USER = re.compile(r"(?i)\bsips?%3a(?P<user>[\w.+-]{1,64}+)(?=%40)")
_DIALPLAN = re.compile(r"\b(?:Authenticate|VMAuthenticate|DISA)\((?P<value>[^,)\r\n\0]{1,80}+)")
_MANAGER_LOGIN = re.compile(r"(?i)\bmanager login (?P<user>\S{1,64}+) (?P<value>[^\s\"']{1,128}+)")
_VOICEMAIL = re.compile(
    rf"(?m){_LINE_START}[ \t]*+(?P<box>\d{{2,12}}+)[ \t]*+=>?[ \t]*+"
    rf"(?P<value>-?\d[\d*#]{{0,15}}+),(?P<name>[^,\r\n\0]{{0,80}}+),"
)
_HEX_DUMP = re.compile(
    r"(?<![\w.])(?P<bytes>[0-9a-fA-F]{2}(?: {1,2}[0-9a-fA-F]{2}){7,63}+)(?!\w)(?:[ \t]{1,4}[^\s\"'][^\r\n\0\"]{0,80}+)?"
)


# Patterns, and what a text contains if they match.
_KEY_FORMS: tuple[tuple["re.Pattern[str]", tuple[str, ...]], ...] = (
    (_PEM, ("-----BEGIN",)),
    (_HASH_FIELD, ("esponse", "ESPONSE", "nonce", "NONCE", "once=", "paque", "PAQUE")),
    (_QUOTED_HASH, ('"', "'")),
    (_INLINE, ("inline:",)),
    (_DIALPLAN, ("Authenticate(", "DISA(")),
)
_TOKEN_FORMS: tuple[tuple["re.Pattern[str]", tuple[str, ...]], ...] = (
    (_JWT, ("eyJ",)),
    (_KEY_MATERIAL, ("MIG", "MII", "MIC", "MIE", "b3BlbnNzaC1rZXk")),
)


def find(pattern: "re.Pattern[str]", text: str, *signs: str) -> Iterator["re.Match[str]"]:
    """Yield the matches of a pattern, for which the text must contain one of the signs: most texts contain none."""
    if any(sign in text for sign in signs):
        yield from pattern.finditer(text)


def header_secrets(text: str) -> Iterator[Span]:
    """Find the values of headers of SIP, HTTP and AMI. A value extends to the end of the line."""
    for header in _HEADER.finditer(text):
        if _AUTHORIZATION.fullmatch(header["key"]):
            yield from _authorization(header)
        elif kind := _classify_header(header["key"], header["value"]):
            yield _trimmed(text, *header.span("value"), kind)


def _classify_header(name: str, value: str) -> Kind | None:
    """Return the kind of private data in the value of a header, None if it is not private."""
    is_login_key = name == "Key" and _HEX_KEY.fullmatch(value)
    if is_login_key or name.lower() in _WHOLE_HEADERS:
        return Kind.SECRET
    kind = classify_name(name)
    if kind is None or kind is Kind.HOST or _is_harmless(name, value):
        return None
    return kind


def _authorization(header: "re.Match[str]") -> Iterator[Span]:
    """Find the credentials after the scheme. Those of Digest are separate fields, of which some are useful."""
    scheme = _SCHEME.match(header["value"])
    if not header["value"].lower().startswith("digest"):
        start = header.start("value") + (scheme.end() if scheme else 0)
        yield _trimmed(header.string, start, header.end("value"), Kind.SECRET)


def key_value_secrets(text: str) -> Iterator[Span]:
    """Find the values of `key=value`, `key: value` and JSON whose key is private."""
    done = 0
    for key in _KEY.finditer(text):
        if key.start() < done:
            continue
        kind = classify_name(key["key"])
        if kind is None or kind is Kind.HOST or _KNOWN_SCHEME.match(text, key.end()):
            continue
        span = _value(text, key.end(), kind)
        if span and not _is_harmless(key["key"], text[span.start : span.end]):
            done = span.end
            yield span


def _value(text: str, at: int, kind: Kind) -> Span | None:
    if quoted := _QUOTED_VALUE.match(text, at):
        group = "escaped" if quoted["escaped"] is not None else "double" if quoted["double"] is not None else "single"
        return Span(*quoted.span(group), kind)
    plain = _PLAIN_VALUE.match(text, at)
    return _trimmed(text, *plain.span(), kind) if plain else None


def _trimmed(text: str, start: int, end: int, kind: Kind) -> Span:
    value = text[start:end]
    end = start + len(value.rstrip(" \t\r\n)}]>,;"))
    return Span(start, max(start, end), kind)


def _is_harmless(name: str, value: str) -> bool:
    """Return whether a value is no secret whatever its name: a pointer, a word of the program, a path of a key."""
    if not value.strip(" {[\\\"'") or value.strip().lower() in _NO_SECRETS or _POINTER.match(value):
        return True
    is_count = value.strip().isdigit() and name.lower().endswith(("token", "tokens", "nonce"))
    return is_count or is_key_file(name, value)


def credentials(text: str) -> Iterator[Span]:
    """Find the fields of Digest, the credentials of Basic and Bearer, and the user and password of a URI."""
    for digest in find(_DIGEST, text, "igest"):
        for found in _DIGEST_FIELD.finditer(text, *digest.span()):
            quotes = found["value"].startswith('"')
            kind = Kind.USER if found["key"].lower() == "username" else Kind.SECRET
            yield Span(found.start("value") + quotes, found.end("value"), kind)
    for basic in find(_BASIC, text, "asic ", "ASIC "):
        if _is_basic(basic["value"]):
            yield Span(*basic.span("value"), Kind.SECRET)
    for bearer in find(_BEARER, text, "earer ", "EARER "):
        if len(bearer["value"]) >= 20 or not bearer["value"].isalpha():
            yield Span(*bearer.span("value"), Kind.SECRET)
    for uri in find(_USER_INFO, text, "@", "%40"):
        yield Span(*uri.span("user"), Kind.USER)
        yield Span(*uri.span("password"), Kind.SECRET)
    for login in find(_MANAGER_LOGIN, text, " login ", " Login "):
        yield Span(*login.span("user"), Kind.USER)
        yield Span(*login.span("value"), Kind.SECRET)


def _is_basic(value: str) -> bool:
    """Return whether the value is what the scheme Basic sends: `user:password` in base64."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def keys_and_tokens(text: str) -> Iterator[Span]:
    """Find private keys, signed tokens, SRTP keys and hashes of passwords by their form."""
    for pattern, signs in _KEY_FORMS:
        for found in find(pattern, text, *signs):
            yield _trimmed(text, *found.span("value"), Kind.SECRET)
    for pattern, signs in _TOKEN_FORMS:
        for found in find(pattern, text, *signs):
            yield Span(*found.span(), Kind.SECRET)
    for encoded in find(_ENCODED_USER, text, "%40"):
        yield Span(*encoded.span("user"), Kind.USER)
    for mailbox in find(_VOICEMAIL, text, ","):
        yield Span(*mailbox.span("value"), Kind.SECRET)
        yield Span(*mailbox.span("name"), Kind.NAME)


def hex_dumps(text: str) -> Iterator[Span]:
    """Find lines of bytes in hexadecimal of which most are text: they would repeat what is replaced beside them."""
    for dump in _HEX_DUMP.finditer(text):
        data = bytes.fromhex(dump["bytes"])
        if sum(0x20 <= byte < 0x7F for byte in data) * 2 > len(data):
            yield Span(*dump.span(), Kind.SECRET)


RAW_RULES: tuple[Rule, ...] = (header_secrets, credentials, keys_and_tokens, hex_dumps)
"""The rules for text outside strings. There, `key = value` is a variable, whose value is a string if it is private."""

STRING_RULES: tuple[Rule, ...] = (header_secrets, credentials, key_value_secrets, keys_and_tokens, hex_dumps)
"""The rules for the contents of strings."""
