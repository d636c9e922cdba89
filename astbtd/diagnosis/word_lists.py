"""Reads the reviewed lists of function names in `words/`.

Each list has one name per line. `#` starts a comment, `*` stands for any text. What a list means is documented in the
list. The modules that use the lists import this one, so that none of them depends on another.
"""

import re
from collections.abc import Iterable
from functools import cache, cached_property
from importlib import resources

_MATCHES_NOTHING = r"(?!)"


class WordList:
    """The names of one list. `name in words` is True if the whole name matches."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def __contains__(self, name: str | None) -> bool:
        if name is None:
            return False
        if name in self.names or name.startswith(self._beginnings):
            return True
        return self._patterns.fullmatch(name) is not None

    def matches_start(self, text: str) -> bool:
        """Return True if `text` starts with a name of the list."""
        return text.startswith(self._all_beginnings) or self._patterns.match(text) is not None

    # Compiling an expression of all names would take longer than the diagnosis of a crash. Most names with a `*` have
    # it at their end.

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        """The names whose only `*` is at the end, without it."""
        return tuple(name[:-1] for name in self.names if name.find("*") == len(name) - 1)

    @cached_property
    def _all_beginnings(self) -> tuple[str, ...]:
        return (*self._beginnings, *(name for name in self.names if "*" not in name))

    @cached_property
    def _patterns(self) -> re.Pattern[str]:
        """All names with a `*` before their end."""
        return _compile(name for name in self.names if "*" in name[:-1])


@cache
def load_words(name: str) -> WordList:
    """Return the list `words/NAME.txt`."""
    content = (resources.files("astbtd.diagnosis") / "words" / f"{name}.txt").read_text("utf-8")
    names = {line.partition("#")[0].strip() for line in content.splitlines()}
    return WordList(frozenset(names - {""}))


def _compile(names: Iterable[str]) -> re.Pattern[str]:
    patterns = (re.escape(name).replace(r"\*", ".*") for name in sorted(names))
    return re.compile("|".join(patterns) or _MATCHES_NOTHING)
