"""Rules that find people and secrets in the lines of Asterisk's log, where nothing needs to stay but what happened.

In a log, unlike in a backtrace, every long number may be a telephone number, and every name after a technology a user.
Formats: Asterisk's `res_security_log.c`, `pbx.c`, `app_dial.c`, `res_pjsip`.
"""

import re
from collections.abc import Iterator

from astbtd.store.redaction.placeholders import Kind
from astbtd.store.redaction.secret_rules import Rule, Span

_SECURITY_FIELD = re.compile(
    r'\b(?:AccountID|ExpectedChallenge|Challenge|ReceivedChallenge|Response|ExpectedResponse|ReceivedHash|SessionID)="'
    r'(?P<value>[^"]{1,200})"'
)
_ASSIGNED = re.compile(
    r"(?i)\b[\w-]{0,20}(?:password|passwd|pwd|secret|passphrase|token|api_?key|auth)[\"']?\s{0,3}[=:]\s{0,3}"
    r"[\"']?(?P<value>[^\s\"',;)]{1,200})"
)
_CHANNEL_USER = re.compile(
    r"\b(?:PJSIP|SIP|IAX2|SCCP|Skinny|H323|MGCP|Motif|Local)/(?P<value>[^\s/@\"',;&)(<>-]{1,80})"
)
_CALLER_NAME = re.compile(r"[\"'](?P<value>[^\"'<>]{1,80})[\"']\s{0,3}<")
_EXTENSION = re.compile(r"(?<![\w.+/])(?P<value>\+?\d{3,20})@")
_QUOTED_NUMBER = re.compile(r"[\"'](?P<value>\+?\d{3,20})[\"']")
_LONG_NUMBER = re.compile(r"(?<![\w.:+-])(?P<value>\+?\d{6,20})(?![\w.])")


def _rule(pattern: re.Pattern[str], kind: Kind) -> Rule:
    def find(text: str) -> Iterator[Span]:
        return (Span(*found.span("value"), kind) for found in pattern.finditer(text))

    return find


LOG_RULES = (
    _rule(_SECURITY_FIELD, Kind.SECRET),
    _rule(_ASSIGNED, Kind.SECRET),
    _rule(_CHANNEL_USER, Kind.USER),
    _rule(_CALLER_NAME, Kind.NAME),
    _rule(_EXTENSION, Kind.NUMBER),
    _rule(_QUOTED_NUMBER, Kind.NUMBER),
    _rule(_LONG_NUMBER, Kind.NUMBER),
)
