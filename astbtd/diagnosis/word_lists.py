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
        return name in self.names or self._wildcards.fullmatch(name) is not None

    def matches_start(self, text: str) -> bool:
        """Return True if `text` starts with a name of the list."""
        return self._pattern.match(text) is not None

    # Each is compiled when it is used: all of them took longer than the diagnosis of a crash.

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _compile(self.names)

    @cached_property
    def _wildcards(self) -> re.Pattern[str]:
        return _compile(name for name in self.names if "*" in name)


@cache
def load_words(name: str) -> WordList:
    """Return the list `words/NAME.txt`."""
    content = (resources.files("astbtd.diagnosis") / "words" / f"{name}.txt").read_text("utf-8")
    names = {line.partition("#")[0].strip() for line in content.splitlines()}
    return WordList(frozenset(names - {""}))


def _compile(names: Iterable[str]) -> re.Pattern[str]:
    patterns = (re.escape(name).replace(r"\*", ".*") for name in sorted(names))
    return re.compile("|".join(patterns) or _MATCHES_NOTHING)
