"""Replaces private data in texts: addresses, numbers, names, secrets.

A backtrace is useful only with its frames, values and pointers: numbers count as telephone numbers only in strings, or
after a `+`. Placeholders depend on the texts alone, in the order in which they are given. What is found is listed in
the tests of this module; other private data may remain, which is why a bundle has to be reviewed.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from astbtd.store.redaction import identity_rules, secret_rules
from astbtd.store.redaction.channel_tables import redact_tables
from astbtd.store.redaction.field_rules import binary_address, classify_string, is_telephone_number, number_address
from astbtd.store.redaction.gdb_values import PrintedNumber, read_values
from astbtd.store.redaction.identity_rules import CONTEXT, is_version
from astbtd.store.redaction.log_rules import LOG_RULES
from astbtd.store.redaction.placeholders import PLACEHOLDER, Kind, Placeholders
from astbtd.store.redaction.printed_strings import PrintedString
from astbtd.store.redaction.secret_rules import Rule, Span

_DONE = "\ue000"  # in place of what is replaced already: neither a letter nor a digit, a space or a quote
_QUOTED = "\ue001"  # in place of the contents of strings, while the text around them is searched
_NOT_DONE = re.compile(f"[^{_DONE}]+")
_RAW_RULES = (*secret_rules.RAW_RULES, *identity_rules.RAW_RULES)
_STRING_RULES = (*secret_rules.STRING_RULES, *identity_rules.STRING_RULES)
_ADDRESS_WORDS = re.compile(r"__u6_addr(?:16|32) = \{(?P<words>[\d, ]{1,100})\}")
_UNIVERSAL_WORDS = re.compile(r"[0, ]*(?:1|256|16777216)?")
_INTERESTING = re.compile(r"[@=:<%(]|\d\d|/home/|\bMI[GICE]|\bb3Bl|\beyJ|(?i:basic|bearer|digest|login) ")
_CACHED_LENGTH = 512
_CACHED_STRINGS = 10_000


class _Replacement(NamedTuple):
    """A part of the text, and what replaces it: `before`, the placeholder of `key`, `after`."""

    start: int
    end: int
    kind: Kind
    key: str
    before: str = ""
    after: str = ""


class Redactor:
    """Redacts the texts of one bundle, with the same placeholders in all. `hosts`: host names to replace."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._placeholders = Placeholders()
        self._cached: dict[str, list[Span]] = {}
        names = "|".join(re.escape(host) for host in sorted(filter(None, set(hosts)), key=len, reverse=True))
        self._hosts = re.compile(rf"(?<![\w.-])(?:{names})(?![\w-])") if names else None

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of different values of each kind that were replaced. Kinds without any are omitted."""
        counts = self._placeholders.counts
        return {kind: counts[kind] for kind in Kind if kind in counts}

    def text(self, text: str) -> str:
        """Return the text without private data. Placeholders in it are left as they are."""
        text = redact_tables(text, self._placeholders.assign)
        parts: list[str] = []
        done = 0
        for found in sorted(self._find(text)):
            if found.start < done or PLACEHOLDER.search(text, found.start, found.end):
                continue
            placeholder = self._placeholders.assign(found.kind, found.key)
            parts += (text[done : found.start], found.before, placeholder, found.after)
            done = found.end
        parts.append(text[done:])
        return "".join(parts)

    def log(self, text: str) -> str:
        """Return the lines of a log without private data: more is replaced than in a backtrace."""
        parts: list[str] = []
        done = 0
        for span in self._search(text, LOG_RULES):
            parts += (text[done : span.start], self._placeholders.assign(span.kind, text[span.start : span.end]))
            done = span.end
        return self.text("".join((*parts, text[done:])))

    def document(self, value: Any) -> Any:
        """Redact all strings in a JSON value. Keys are left as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.document(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        return value

    def _find(self, text: str) -> Iterator[_Replacement]:
        """Find all that is to be replaced. What is found around strings comes first, where both overlap."""
        values = list(read_values(text))
        strings = [value for value in values if isinstance(value, PrintedString)]
        around = self._search(_hide_strings(text, strings), _RAW_RULES)
        yield from (
            _Replacement(span.start, span.end, span.kind, span.key or text[span.start : span.end]) for span in around
        )
        yield from _find_numbers(text, values)
        starts = [span.start for span in around]
        for string in strings:
            at = bisect_left(starts, string.end) - 1
            if at < 0 or around[at].end <= string.start:
                yield from self._search_string(text, string)

    def _search_string(self, text: str, string: PrintedString) -> Iterator[_Replacement]:
        kind = classify_string(string)
        if kind is Kind.ADDRESS:
            if address := binary_address(string):
                yield _Replacement(string.start, string.end, kind, address, '"', '"')
        elif kind:
            yield _Replacement(string.start, string.end, kind, string.content.strip("\0"), '"', '"')
        elif self._hosts or _INTERESTING.search(string.content):
            yield from self._search_content(text, string)

    def _search_content(self, text: str, string: PrintedString) -> Iterator[_Replacement]:
        content = string.content
        for span in self._search_cached(content):
            if span.kind is Kind.ADDRESS and span.start == 0:
                before = text[max(0, string.start - CONTEXT) : string.start]
                if is_version(before, content[: span.end]):
                    continue
            start, end, opening, closing = string.locate(span.start, span.end)
            yield _Replacement(start, end, span.kind, span.key or content[span.start : span.end], opening, closing)

    def _search_cached(self, content: str) -> list[Span]:
        """Search the content of a string. Backtraces print many strings again and again."""
        spans = self._cached.get(content)
        if spans is None:
            spans = self._search(content, _STRING_RULES)
            if len(content) <= _CACHED_LENGTH and len(self._cached) < _CACHED_STRINGS:
                self._cached[content] = spans
        return spans

    def _search(self, text: str, rules: Iterable[Rule]) -> list[Span]:
        """Apply the rules one after the other: what one finds is hidden from the next. Return the spans in order."""
        found: list[Span] = []
        text = PLACEHOLDER.sub(lambda placeholder: _DONE * len(placeholder[0]), text)
        for rule in (*rules, self._host_names):
            parts: list[str] = []
            done = 0
            for span in sorted(_unhidden(text, rule(text))):
                if span.start < done:
                    continue
                found.append(span)
                parts += (text[done : span.start], _DONE * (span.end - span.start))
                done = span.end
            if parts:
                text = "".join((*parts, text[done:]))
        return sorted(found)

    def _host_names(self, text: str) -> Iterator[Span]:
        if self._hosts:
            yield from (Span(*found.span(), Kind.HOST) for found in self._hosts.finditer(text))


def _unhidden(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans without what is hidden; a span that contains hidden parts is divided."""
    for span in spans:
        if _DONE in text[span.start : span.end]:
            yield from _unhidden_parts(text, span)
        elif span.end > span.start:
            yield span


def _unhidden_parts(text: str, span: Span) -> Iterator[Span]:
    for part in _NOT_DONE.finditer(text, span.start, span.end):
        if any(character.isalnum() for character in part[0]):
            yield Span(*part.span(), span.kind)


def _hide_strings(text: str, strings: Iterable[PrintedString]) -> str:
    """Return the text with the contents of strings hidden; quotes and lengths stay."""
    parts: list[str] = []
    done = 0
    for string in strings:
        for piece in string.pieces:
            length = piece.inner_end - piece.inner_start
            parts += (text[done : piece.inner_start], _QUOTED * length)
            done = piece.inner_end
    parts.append(text[done:])
    return "".join(parts)


def _find_numbers(text: str, values: Iterable[PrintedString | PrintedNumber]) -> Iterator[_Replacement]:
    """Find addresses and telephone numbers that are printed as numbers."""
    for value in values:
        if not isinstance(value, PrintedNumber):
            continue
        if address := number_address(value):
            yield _Replacement(value.start, value.end, Kind.ADDRESS, address)
        elif is_telephone_number(value):
            yield _Replacement(value.start, value.end, Kind.NUMBER, text[value.start : value.end])
    for found in _ADDRESS_WORDS.finditer(text):
        if not _UNIVERSAL_WORDS.fullmatch(found["words"]):
            yield _Replacement(*found.span("words"), Kind.ADDRESS, found["words"])
