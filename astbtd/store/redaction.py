"""Takes out of a text what is private: addresses, numbers, names, secrets. What is the same stays recognisable as such.

A backtrace is worth something only if its frames, values and pointers stay: numbers count as telephone numbers only in
strings, or behind a `+`. Pure: what is replaced depends on the texts alone, in the order in which they are given.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from astbtd.store import redaction_table


class Kind(StrEnum):
    """What is taken out; the value begins its stand-in, as in `<address-1>`."""

    SECRET = "secret"  # noqa: S105 - what one is called, not one
    NAME = "name"
    USER = "user"
    HOST = "host"
    ADDRESS = "address"
    NUMBER = "number"


_STRING = r'"(?:[^"\\\n]|\\.)*+"?'  # as gdb prints it, its own quotation marks escaped; one that is cut ends the line
_STAND_IN = re.compile(rf"<(?:{'|'.join(Kind)})-\d+>")


def _variable(words: str) -> re.Pattern[str]:
    """What gdb prints of a variable, or of an array of characters, whose name has one of these words in it."""
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
    re.compile(  # without a scheme only with a full host name: gdb writes `name@entry`, the linker `name@GLIBC_2.2.5`
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
    """Remembers what stands for what, over all texts of one bundle; `hosts` are the names of machines to take out."""

    hosts: Sequence[str] = ()
    _stand_ins: dict[tuple[Kind, str], str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """The text without what is private. What was taken out before is left as it is."""
        for rule in self._rules():
            text = rule(text)
        return text

    def document(self, value: Any) -> Any:
        """Plain data, as JSON holds it, with all its texts redacted; its keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.document(item) for key, item in value.items()}
        return [self.document(item) for item in value] if isinstance(value, list) else value

    @property
    def counts(self) -> dict[Kind, int]:
        """How many different things of each kind were taken out; kinds of which there were none are left out."""
        kinds = [kind for kind, _ in self._stand_ins]
        return {kind: kinds.count(kind) for kind in Kind if kind in kinds}

    def _rules(self) -> list[Callable[[str], str]]:
        """The rules in the order in which they apply: what names a thing comes before what it merely looks like."""
        return [
            self._without_cells,
            lambda text: _SECRET_VARIABLE.sub(self._string(Kind.SECRET), text),
            lambda text: _NAME_VARIABLE.sub(self._string(Kind.NAME), text),
            lambda text: _NUMBER_VARIABLE.sub(self._string(Kind.NUMBER), text),
            lambda text: _SECRET_IN_TEXT.sub(self._value(Kind.SECRET), text),
            lambda text: _URI.sub(self._uri, text),
            lambda text: _HOME.sub(self._value(Kind.USER), text),
            self._without_hosts,
            lambda text: _HARDWARE.sub(self._whole(Kind.ADDRESS), text),
            lambda text: _IPV4.sub(self._address, text),
            lambda text: _IPV6.sub(self._address, text),
            lambda text: _INTERNATIONAL.sub(self._whole(Kind.NUMBER), text),
            lambda text: _STRINGS.sub(self._numbers, text),
        ]

    def _stand_in(self, kind: Kind, value: str) -> str:
        if _STAND_IN.fullmatch(value) or not value:
            return value
        known = self._stand_ins.get((kind, value))
        if known is None:
            known = f"<{kind}-{1 + sum(other is kind for other, _ in self._stand_ins)}>"
            self._stand_ins[kind, value] = known
        return known

    def _whole(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: self._stand_in(kind, found[0])

    def _value(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: found["before"] + self._stand_in(kind, found["value"])

    def _string(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        return lambda found: f'{found["before"]}"{self._stand_in(kind, found["value"].strip(chr(34)))}"'

    def _uri(self, found: re.Match[str]) -> str:
        user, host = self._stand_in(Kind.USER, found["user"]), self._host(found["host"])
        return f"{found['before'] or ''}{user}@{host}"

    def _host(self, name: str) -> str:
        with suppress(ValueError):
            return self._of_address(ipaddress.ip_address(name), name)
        return self._stand_in(Kind.HOST, name)

    def _without_cells(self, text: str) -> str:
        number, name = (partial(self._stand_in, kind) for kind in (Kind.NUMBER, Kind.NAME))
        return redaction_table.redacted(text, number, name)

    def _without_hosts(self, text: str) -> str:
        for host in filter(None, self.hosts):
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", self._whole(Kind.HOST), text)
        return text

    def _address(self, found: re.Match[str]) -> str:
        with suppress(ValueError):
            return self._of_address(ipaddress.ip_address(found[0]), found[0])
        return found[0]

    def _of_address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, written: str) -> str:
        """Every machine has these, and they tell a developer something."""
        everybodys = address.is_loopback or address.is_unspecified or written == "255.255.255.255"
        return written if everybodys else self._stand_in(Kind.ADDRESS, str(address))

    def _numbers(self, found: re.Match[str]) -> str:
        return _DIGITS.sub(self._whole(Kind.NUMBER), found[0])
