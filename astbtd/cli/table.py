"""Prints tables. Columns are as wide as their contents, and give way where the terminal is narrower."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from astbtd.cli.terminal import write_controls
from astbtd.lib.escaping import printable_line


@dataclass(frozen=True)
class Column:
    """A column of a table. `cell` pads a text to a width, and may add colour.

    On a narrow terminal, columns with a `drop_order` above 0 are omitted, the highest first. Columns with a
    `min_width` are then truncated, at most to this width, the lowest `narrow_order` first. `ellipsis` ends a truncated
    text.
    """

    heading: str
    cell: Callable[[str, int], str] = str.ljust
    min_width: int | None = None
    drop_order: int = 0
    narrow_order: int = 1
    ellipsis: str = "..."


@dataclass(eq=False)  # `remove` finds a column by identity
class _FilledColumn:
    """A column with its texts, the heading first, and the width to print it in."""

    column: Column
    texts: list[str]
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = max(map(len, self.texts))

    @property
    def min_width(self) -> int:
        return min(self.width, self.column.min_width or self.width)

    def cells(self) -> list[str]:
        return [self.column.cell(self._truncate(text), self.width) for text in self.texts]

    def _truncate(self, text: str) -> str:
        if len(text) <= self.width:
            return text
        return text[: self.width - len(self.column.ellipsis)] + self.column.ellipsis


def terminal_width() -> int | None:
    """Return the number of characters on a line of standard output, None if that is not a terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # imports several modules that scripts do not need

    return shutil.get_terminal_size().columns


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print the rows below their headings, one line each. Columns without any text are omitted.

    Texts may come from a crashed process: control characters are escaped.
    """
    filled = []
    for column, texts in zip(columns, zip(*rows, strict=True), strict=True):
        if any(texts):
            filled.append(_FilledColumn(column, [column.heading, *map(printable_line, texts)]))
    fitting = _fit(filled, terminal_width())
    for cells in zip(*(each.cells() for each in fitting), strict=True):
        write_controls(sys.stdout, " ".join(cells).rstrip() + "\n")


def print_streamed_row(columns: Sequence[Column], texts: Sequence[str], typical: Sequence[str]) -> None:
    """Print one row of a table whose other rows are not known: each column is as wide as its `typical` text.

    A longer text shifts the columns to its right. Control characters are escaped, as by `print_table`.
    """
    filled = [
        _FilledColumn(column, [wide, printable_line(text)])
        for column, text, wide in zip(columns, texts, typical, strict=True)
    ]
    cells = [column.cells()[-1] for column in _fit(filled, terminal_width())]
    write_controls(sys.stdout, " ".join(cells).rstrip() + "\n")


def _fit(table: list[_FilledColumn], width: int | None) -> list[_FilledColumn]:
    """Omit and narrow columns until the table fits into `width` characters, as far as the columns allow it."""
    if width is None:
        return table
    remaining = _drop_columns(table, width)
    _narrow_columns(remaining, width)
    return remaining


def _drop_columns(table: list[_FilledColumn], width: int) -> list[_FilledColumn]:
    """Omit columns with a drop order, the highest first, until the others fit at their minimum widths."""
    remaining = list(table)
    while sum(column.min_width for column in remaining) + _gaps(remaining) > width:
        candidate = max(remaining, key=lambda each: each.column.drop_order)
        if candidate.column.drop_order == 0:
            break
        remaining.remove(candidate)
    return remaining


def _narrow_columns(table: list[_FilledColumn], width: int) -> None:
    """Narrow columns in their order, then from the left, each to its minimum width at most, until the table fits."""
    excess = sum(column.width for column in table) + _gaps(table) - width
    for column in sorted(table, key=lambda each: each.column.narrow_order):
        reduction = min(column.width - column.min_width, max(0, excess))
        column.width -= reduction
        excess -= reduction


def _gaps(table: list[_FilledColumn]) -> int:
    """Return the number of spaces between the columns."""
    return len(table) - 1
