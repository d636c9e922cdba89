"""Redacts the tables of channels in info.txt, whose headings identify the private cells."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from astbtd.store.redaction.placeholders import Kind

_PRIVATE_COLUMNS = {
    "Extension": Kind.NUMBER,
    "Caller ID": Kind.NUMBER,
    "Accountcode": Kind.NUMBER,
    "PeerAccount": Kind.NUMBER,
    "Caller name": Kind.NAME,
    "Data": Kind.NAME,
}
_FIRST_COLUMNS = ["Channel", "Unique ID"]
_HEADING = re.compile(r"\S+(?: \S+)*")
_OMITTED_ROW = "(row omitted: its columns cannot be told apart)"

Replace = Callable[[Kind, str], str]
"""Returns the placeholder for a value."""


@dataclass(frozen=True)
class _Column:
    heading: str
    start: int


def redact_tables(text: str, replace: Replace) -> str:
    """Return the text with the private cells of each table of channels replaced."""
    if _FIRST_COLUMNS[1] not in text:  # quick, for megabytes of other texts
        return text
    return "\n".join(_redact_lines(text.split("\n"), replace))


def _redact_lines(lines: Sequence[str], replace: Replace) -> Iterator[str]:
    """Yield the lines with the private cells replaced. A table ends at an empty line."""
    columns: list[_Column] = []
    for line in lines:
        if headings := _read_headings(line):
            columns = headings
            yield line
        elif not line:
            columns = []
            yield line
        else:
            yield _redact_row(line, columns, replace) if columns else line


def _read_headings(line: str) -> list[_Column]:
    """Return the columns if the line is the heading of a table of channels, else an empty list."""
    if _FIRST_COLUMNS[0] not in line:
        return []
    columns = [_Column(found[0], found.start()) for found in _HEADING.finditer(line)]
    return columns if [column.heading for column in columns[:2]] == _FIRST_COLUMNS else []


def _redact_row(line: str, columns: Sequence[_Column], replace: Replace) -> str:
    """Replace the private cells of a row. If a text is wider than its column, all cells after it are displaced."""
    starts = [column.start for column in columns]
    if any(line[start - 2 : start].strip() for start in starts[1:]):  # columns are two spaces apart
        return _OMITTED_ROW
    ends = [end for _, end in pairwise([*starts, len(line)])]
    cells = [
        _redact_cell(column.heading, line[column.start : end], replace)
        for column, end in zip(columns, ends, strict=True)
    ]
    return "".join(cells).rstrip()


def _redact_cell(heading: str, cell: str, replace: Replace) -> str:
    value = cell.strip()
    kind = _PRIVATE_COLUMNS.get(heading)
    if kind is None or not value:
        return cell
    return replace(kind, value).ljust(len(cell) - 2) + "  "
