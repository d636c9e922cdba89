"""Prints rows under headings: as wide as they are, or as the terminal where that is narrower."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from astbtd.lib.escaping import printable_line

_CUT = "..."


@dataclass(frozen=True)
class Column:
    """A column; `cell` brings a text to a width, and may colour it.

    Where the terminal is too narrow, those that are `dispensable` are left out, the highest number first, and a column
    that has a `least` width is cut, to no less than that.
    """

    heading: str
    cell: Callable[[str, int], str] = str.ljust
    least: int | None = None
    dispensable: int = 0


@dataclass
class _Filled:
    """A column with its texts, the heading first, and the width it gets."""

    column: Column
    texts: list[str]
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = max(map(len, self.texts))

    @property
    def least(self) -> int:
        return min(self.width, self.column.least or self.width)

    def cells(self) -> list[str]:
        return [self.column.cell(self._cut(text), self.width) for text in self.texts]

    def _cut(self, text: str) -> str:
        return text if len(text) <= self.width else text[: self.width - len(_CUT)] + _CUT


def terminal_width() -> int | None:
    """How many characters fit on a line of standard output, None where that is no terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # brings several modules that scripts are spared

    return shutil.get_terminal_size().columns


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Prints the rows, whatever stands in them on one line each; a column in which no row has anything is left out."""
    texts = zip(*rows, strict=True)
    filled = [
        _Filled(column, [column.heading, *map(printable_line, its)])
        for column, its in zip(columns, texts, strict=True)
        if any(its)
    ]
    for cells in zip(*(each.cells() for each in _fitting(filled, terminal_width())), strict=True):
        sys.stdout.write(" ".join(cells).rstrip() + "\n")


def _fitting(table: list[_Filled], room: int | None) -> list[_Filled]:
    if room is None:
        return table
    gaps = len(table) - 1
    while sum(each.least for each in table) + gaps > room:
        last = max(table, key=lambda each: each.column.dispensable)
        if not last.column.dispensable:
            break
        table, gaps = [each for each in table if each is not last], gaps - 1
    excess = sum(each.width for each in table) + gaps - room
    for each in table:
        narrower = max(each.least, each.width - max(0, excess))
        excess -= each.width - narrower
        each.width = narrower
    return table
