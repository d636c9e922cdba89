"""The reviewed lists of names in `words/`: one name a line, `#` begins a comment, `*` stands for any text."""

import re
from functools import cache
from importlib import resources


class Words:
    """The names of one list. `in` asks for a whole name; `begins` whether a text begins with one of them."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self._pattern = re.compile("|".join(map(_pattern, sorted(names))) or r"(?!)")
        self._globs = re.compile("|".join(map(_pattern, sorted(name for name in names if "*" in name))) or r"(?!)")

    def __contains__(self, name: str | None) -> bool:
        return name is not None and (name in self.names or self._globs.fullmatch(name) is not None)

    def begins(self, text: str) -> bool:
        """Whether a name of the list stands at the beginning of `text`."""
        return self._pattern.match(text) is not None


@cache
def words(name: str) -> Words:
    """The list `words/NAME.txt`."""
    lines = (resources.files("astbtd.diagnosis") / "words" / f"{name}.txt").read_text("utf-8").splitlines()
    return Words(frozenset(line.partition("#")[0].strip() for line in lines) - {""})


def _pattern(name: str) -> str:
    return re.escape(name).replace(r"\*", ".*")
