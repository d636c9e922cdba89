"""Tables of the page: the type, and the tables of channels, bridges and taskprocessors, read from info.txt.

The columns of these are two blanks apart. A text that is wider than its column displaces the cells after it: such a row
is divided at the blanks if that gives the right number of cells, and is otherwise shown undivided.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

_TITLE = re.compile(r"(?P<title>Channels|Bridges|Taskprocessors) \((?P<count>[^()]{1,60})\):")
_ORDER = ("Channels", "Bridges", "Taskprocessors")
_HEADING = re.compile(r"\S+(?: \S+)*")
_GAP = re.compile(r" {2,}")
_MAX_ROWS = 1000


@dataclass(frozen=True)
class DataTable:
    """A table. Each row has as many cells as there are headings, or a single one that takes the whole width."""

    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()


def read_tables(text: str) -> list[DataTable]:
    """Return the tables in info.txt, channels first."""
    lines = text.split("\n")
    tables = {}
    for index, line in enumerate(lines):
        if title := _TITLE.fullmatch(line):
            body = list(takewhile(bool, lines[index + 1 :]))
            tables[title["title"]] = _read_table(f"{title['title']} ({title['count']})", body)
    return [tables[name] for name in _ORDER if name in tables]


def without_tables(text: str) -> str:
    """Return the rest of info.txt."""
    kept: list[str] = []
    inside = False
    for line in text.split("\n"):
        inside = bool(line) and (inside or _TITLE.fullmatch(line) is not None)
        if not inside:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")


def _read_table(title: str, body: Sequence[str]) -> DataTable:
    """Read a table from the lines below its title: remarks in parentheses, the headings, the rows."""
    remarks = list(takewhile(lambda line: line.startswith("  ("), body))
    lines = body[len(remarks) :]
    table = DataTable(title, remarks=tuple(remark.strip() for remark in remarks))
    if not lines:
        return table
    heading, *data = lines
    columns = list(_HEADING.finditer(heading))
    starts = [column.start() for column in columns]
    rows = [_split_row(line, starts) for line in data[:_MAX_ROWS]]
    if len(data) > len(rows):
        rows.append((f"... and {len(data) - len(rows)} more, in info.txt",))
    return _drop_empty_columns(replace(table, headings=tuple(column[0] for column in columns), rows=tuple(rows)))


def _split_row(line: str, starts: Sequence[int]) -> tuple[str, ...]:
    """Return the cells of a row, or the whole row if they cannot be told apart."""
    if not any(line[start - 2 : start].strip() for start in starts[1:]):
        return tuple(line[start:end].strip() for start, end in pairwise([*starts, len(line)]))
    cells = tuple(_GAP.split(line.strip()))
    return cells if len(cells) == len(starts) else (line,)


def _drop_empty_columns(table: DataTable) -> DataTable:
    """Return the table without the columns in which nothing is known."""
    complete = [row for row in table.rows if len(row) == len(table.headings)]
    used = [index for index in range(len(table.headings)) if any(row[index] for row in complete)]
    return replace(table, headings=_select(table.headings, used), rows=tuple(_shorten_rows(table, used)))


def _shorten_rows(table: DataTable, used: Sequence[int]) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        yield _select(row, used) if len(row) == len(table.headings) else row


def _select(cells: Sequence[str], indexes: Iterable[int]) -> tuple[str, ...]:
    return tuple(cells[index] for index in indexes)
