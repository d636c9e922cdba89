"""Replaces private data in texts: addresses, numbers, names, secrets. Equal values get equal placeholders.

A backtrace is useful only with its frames, values and pointers: numbers count as telephone numbers only in strings, or
after a `+`. Placeholders depend on the texts alone, in the order in which they are given.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any


class Kind(StrEnum):
    """A kind of private data. Its value is the start of the placeholder, such as `<address-1>`."""

    SECRET = "secret"  # noqa: S105 - a name, not a secret
    NAME = "name"
    USER = "user"
    HOST = "host"
    ADDRESS = "address"
    NUMBER = "number"


_STRING = r'"(?:[^"\\\n]|\\.)*+"?'  # as gdb prints it, with escapes; one that is cut off ends the line
_PLACEHOLDER = re.compile(rf"<(?:{'|'.join(Kind)})-\d+>")


def _variable(words: str) -> re.Pattern[str]:
    """Match what gdb prints for a string or character array whose name contains one of these words."""
    return re.compile(
        rf"(?i)(?P<before>\b\w*(?:{words})\w*\s*=\s*(?:\w+@entry=)?(?:0x[0-9a-f]+\s+)?)(?P<value>{_STRING})"
    )


_SECRET_VARIABLE = _variable("passw|secret|md5_?cred|auth_?pass|api_?key|token|private_?key")
_NAME_VARIABLE = _variable("cid_?name|caller_?name|display_?name|full_?name|connected_?name|redirecting_?name")
_NUMBER_VARIABLE = _variable("cid_?num|caller_?id|caller_?num|dnid|rdnis|ani\\b|connected_?num|account_?code")
_SECRET_IN_TEXT = re.compile(
    r"(?i)(?P<before>\b(?:inline:|(?:password|secret|response|cnonce|nonce)\s*[=:]\s*\\*[\"']?|"
    r"(?:proxy-)?authorization:\s*\w+\s))(?P<value>(?!0x)[^\s\"'\\;,<>]{3,})"
)
_URI = (
    re.compile(  # without a scheme, only with a full host name: gdb writes `name@entry`, the linker `name@GLIBC_2.2.5`
        r"(?i)(?P<before>\b(?:sips?|tel|xmpp|mailto|iax2?):)?(?P<user>[\w.+!~*'%-]{1,64})@"
        r"(?P<host>(?(before)[a-z0-9]|(?=[a-z0-9-]+\.[a-z0-9])[a-z0-9])[a-z0-9.-]{0,252})(?![\w@])"
    )
)
_HOME = re.compile(r"(?P<before>/home/)(?P<value>[^/\s\"'<>]+)")
_VERSION_BEFORE = r"(?<!sterisk )(?<!sterisk-)(?<!ersion )(?<!ersion: )"
_IPV4 = re.compile(_VERSION_BEFORE + r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?i)(?<![\w:.])(?=[0-9a-f:]*\d)(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])")
_HARDWARE = re.compile(r"(?i)(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])")
_INTERNATIONAL = re.compile(r"(?<!\w)\+\d{6,15}(?!\w)")
_DIGITS = re.compile(r"(?<![\w.+-])\d{6,15}(?![\w.])")
_STRINGS = re.compile(_STRING)


@dataclass
class Redactor:
    """Redacts the texts of one bundle, with the same placeholders in all. `hosts`: host names to replace."""

    hosts: Sequence[str] = ()
    _placeholders: dict[tuple[Kind, str], str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """Return the text without private data. Placeholders in it are left as they are."""
        for rule in self._rules():
            text = rule(text)
        return text

    def document(self, value: Any) -> Any:
        """Redact all strings in a JSON value. Keys are left as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.document(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        return value

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of different values of each kind that were replaced. Kinds without any are omitted."""
        kinds = [kind for kind, _ in self._placeholders]
        return {kind: kinds.count(kind) for kind in Kind if kind in kinds}

    def _rules(self) -> list[Callable[[str], str]]:
        """Return the rules in the order in which they apply: by the name of a value before by its form."""
        return [
            self._redact_channel_tables,
            lambda text: _SECRET_VARIABLE.sub(self._string(Kind.SECRET), text),
            lambda text: _NAME_VARIABLE.sub(self._string(Kind.NAME), text),
            lambda text: _NUMBER_VARIABLE.sub(self._string(Kind.NUMBER), text),
            lambda text: _SECRET_IN_TEXT.sub(self._value(Kind.SECRET), text),
            lambda text: _URI.sub(self._uri, text),
            lambda text: _HOME.sub(self._value(Kind.USER), text),
            self._redact_hosts,
            lambda text: _HARDWARE.sub(self._whole(Kind.ADDRESS), text),
            lambda text: _IPV4.sub(self._address, text),
            lambda text: _IPV6.sub(self._address, text),
            lambda text: _INTERNATIONAL.sub(self._whole(Kind.NUMBER), text),
            lambda text: _STRINGS.sub(self._numbers, text),
        ]

    def _placeholder(self, kind: Kind, value: str) -> str:
        if _PLACEHOLDER.fullmatch(value) or not value:
            return value
        placeholder = self._placeholders.get((kind, value))
        if placeholder is None:
            number = 1 + sum(other is kind for other, _ in self._placeholders)
            placeholder = f"<{kind}-{number}>"
            self._placeholders[kind, value] = placeholder
        return placeholder

    def _whole(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: self._placeholder(kind, found[0])

    def _value(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: found["before"] + self._placeholder(kind, found["value"])

    def _string(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: f'{found["before"]}"{self._placeholder(kind, found["value"].strip(chr(34)))}"'

    def _uri(self, found: re.Match[str]) -> str:
        user, host = self._placeholder(Kind.USER, found["user"]), self._host(found["host"])
        return f"{found['before'] or ''}{user}@{host}"

    def _host(self, name: str) -> str:
        with suppress(ValueError):
            return self._replace_address(ipaddress.ip_address(name), name)
        return self._placeholder(Kind.HOST, name)

    def _redact_channel_tables(self, text: str) -> str:
        return "\n".join(_redact_tables(text.split("\n"), self._placeholder))

    def _redact_hosts(self, text: str) -> str:
        for host in filter(None, self.hosts):
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", self._whole(Kind.HOST), text)
        return text

    def _address(self, found: re.Match[str]) -> str:
        with suppress(ValueError):
            return self._replace_address(ipaddress.ip_address(found[0]), found[0])
        return found[0]

    def _replace_address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, written: str) -> str:
        """Replace an address, unless it is the same on every machine: such an address is useful to a developer."""
        is_universal = address.is_loopback or address.is_unspecified or written == "255.255.255.255"
        return written if is_universal else self._placeholder(Kind.ADDRESS, str(address))

    def _numbers(self, found: re.Match[str]) -> str:
        return _DIGITS.sub(self._whole(Kind.NUMBER), found[0])


# The columns of the table of channels in info.txt. The heading identifies the cells.
_PRIVATE_COLUMNS = {
    "Extension": Kind.NUMBER,
    "Caller ID": Kind.NUMBER,
    "Accountcode": Kind.NUMBER,
    "PeerAccount": Kind.NUMBER,
    "Caller name": Kind.NAME,
    "Data": Kind.NAME,
}
_FIRST_COLUMNS = ["Channel", "Unique ID"]
_HEADING = re.compile(r"\S+(?: \S+)*")
_OMITTED_ROW = "(row omitted: its columns cannot be told apart)"

_Replace = Callable[[Kind, str], str]
"""Returns the placeholder for a value."""


@dataclass(frozen=True)
class _Column:
    heading: str
    start: int


def _redact_tables(lines: Sequence[str], replace: _Replace) -> Iterator[str]:
    """Yield the lines with the private cells of each table of channels replaced. A table ends at an empty line."""
    columns: list[_Column] = []
    for line in lines:
        if headings := _read_headings(line):
            columns = headings
            yield line
        elif not line:
            columns = []
            yield line
        else:
            yield _redact_row(line, columns, replace) if columns else line


def _read_headings(line: str) -> list[_Column]:
    """Return the columns if the line is the heading of a table of channels, else an empty list."""
    if _FIRST_COLUMNS[0] not in line:  # quick, for megabytes of other lines
        return []
    columns = [_Column(found[0], found.start()) for found in _HEADING.finditer(line)]
    return columns if [column.heading for column in columns[:2]] == _FIRST_COLUMNS else []


def _redact_row(line: str, columns: Sequence[_Column], replace: _Replace) -> str:
    """Replace the private cells of a row. If a text is wider than its column, all cells after it are displaced."""
    starts = [column.start for column in columns]
    if any(line[start - 2 : start].strip() for start in starts[1:]):  # columns are two spaces apart
        return _OMITTED_ROW
    ends = [end for _, end in pairwise([*starts, len(line)])]
    cells = [
        _redact_cell(column.heading, line[column.start : end], replace)
        for column, end in zip(columns, ends, strict=True)
    ]
    return "".join(cells).rstrip()


def _redact_cell(heading: str, cell: str, replace: _Replace) -> str:
    value = cell.strip()
    kind = _PRIVATE_COLUMNS.get(heading)
    if kind is None or not value:
        return cell
    return replace(kind, value).ljust(len(cell) - 2) + "  "
