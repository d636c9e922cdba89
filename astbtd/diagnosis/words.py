"""The reviewed lists of names in `words/`: one name a line, `#` begins a comment."""

from functools import cache
from importlib import resources


@cache
def words(name: str) -> frozenset[str]:
    """The names in `words/NAME.txt`."""
    text = (resources.files("astbtd.diagnosis") / "words" / f"{name}.txt").read_text("utf-8")
    return frozenset(line.partition("#")[0].strip() for line in text.splitlines()) - {""}
