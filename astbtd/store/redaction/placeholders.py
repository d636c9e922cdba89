"""The kinds of private data, and the placeholders that replace it. Equal values get equal placeholders."""

import re
from enum import StrEnum


class Kind(StrEnum):
    """A kind of private data. Its value is the start of the placeholder, such as `<address-1>`."""

    SECRET = "secret"  # noqa: S105 - a name, not a secret
    NAME = "name"
    USER = "user"
    HOST = "host"
    ADDRESS = "address"
    NUMBER = "number"


PLACEHOLDER = re.compile(rf"<(?:{'|'.join(Kind)})-\d{{1,9}}>")


class Placeholders:
    """Assigns placeholders to values, numbered in the order in which the values are given.

    A value has one placeholder in all texts of a bundle, so that a reader can see where it occurs again.
    """

    def __init__(self) -> None:
        self._assigned: dict[tuple[Kind, str], str] = {}
        self.counts: dict[Kind, int] = {}
        """The number of different values of each kind. Kinds without any are omitted."""

    def assign(self, kind: Kind, value: str) -> str:
        """Return the placeholder of a value. A value that is empty or itself a placeholder is returned unchanged."""
        if not value or PLACEHOLDER.fullmatch(value):
            return value
        placeholder = self._assigned.get((kind, value))
        if placeholder is None:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            placeholder = f"<{kind}-{self.counts[kind]}>"
            self._assigned[kind, value] = placeholder
        return placeholder
