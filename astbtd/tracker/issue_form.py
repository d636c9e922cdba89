"""The form for bugs in Asterisk's tracker, and its address with the fields filled in.

The fields are those of .github/ISSUE_TEMPLATE/bug-report.yml in github.com/asterisk/asterisk. GitHub fills a field in
from the parameter of its name, and answers addresses longer than about 8 kB with an error. The check box that confirms
the guidelines is left to the person who files the issue.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from urllib.parse import quote_plus, urlencode

from astbtd.lib.escaping import printable

REPOSITORY = "https://github.com/asterisk/asterisk"
MAX_ADDRESS = 8000  # bytes

_TEMPLATE = "bug-report.yml"
_MAX_FIELD = 600  # bytes, encoded
_MAX_DESCRIPTION = 3000
_SHORTENED = "..."


class Severity(StrEnum):
    """The choice of the field of this name that is used: the PBX is down."""

    CRITICAL = "Critical"


class Frequency(StrEnum):
    """The choices of the field of this name that are used."""

    ONE_TIME = "One Time"
    OCCASIONAL = "Occasional"
    FREQUENT = "Frequent"


@dataclass(frozen=True)
class IssueForm:
    """The form. The names are the ids of its fields, in its order; `logs` is shown as code."""

    title: str
    severity: Severity
    versions: str
    components: str
    environment: str
    frequency: Frequency
    description: str
    logs: str

    def address(self) -> str:
        """Return the address of the form, at most MAX_ADDRESS bytes of ASCII. Long fields are shortened."""
        values = {"template": _TEMPLATE}
        for field in fields(self):
            limit = _MAX_DESCRIPTION if field.name == "description" else _MAX_FIELD
            values[field.name] = _shorten(getattr(self, field.name), limit)
        values["logs"] = ""
        remaining = MAX_ADDRESS - len(_address(values))
        return _address({**values, "logs": _shorten(self.logs, remaining)})


def search_address(words: str) -> str:
    """Return the address of a search for issues, open and closed, that contain these words as they are."""
    quoted = _shorten(words, _MAX_FIELD).replace('"', " ")
    query = urlencode({"q": f'is:issue "{quoted}"'}, errors="replace")
    return f"{REPOSITORY}/issues?{query}"


def _address(values: dict[str, str]) -> str:
    return f"{REPOSITORY}/issues/new?{urlencode(values, errors='replace')}"


def _shorten(text: str, limit: int) -> str:
    """Return as much of the text as has `limit` bytes when it is encoded: whole lines, if there are several."""
    text = printable(text)
    if _encoded_size(text) <= limit:
        return text
    size = _encoded_size(f"\n{_SHORTENED}")
    for position, character in enumerate(text):
        size += _encoded_size(character)
        if size > limit:
            kept, newline, _ = text[:position].rpartition("\n")
            return f"{kept}\n{_SHORTENED}" if newline else f"{text[:position]}{_SHORTENED}"
    return text


def _encoded_size(text: str) -> int:
    return len(quote_plus(text, errors="replace"))
