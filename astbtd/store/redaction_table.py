"""Finds what is private in info.txt's table of channels, where only a column's heading tells what is what."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

_NUMBERS = ("Extension", "Caller ID", "Accountcode", "PeerAccount")
_NAMES = ("Caller name", "Data")
_FIRST = ("Channel", "Unique ID")
_HEADING = re.compile(r"\S+(?: \S+)*")
_LEFT_OUT = "(a row left out: its columns cannot be told apart)"

Replace = Callable[[str], str]
"""Gives the stand-in for a cell."""


def redacted(text: str, number: Replace, name: Replace) -> str:
    """The text with the private cells of each table of channels replaced; one that is empty stays so."""
    return "\n".join(_lines(text.split("\n"), {**dict.fromkeys(_NUMBERS, number), **dict.fromkeys(_NAMES, name)}))


def _lines(lines: list[str], replace: dict[str, Replace]) -> Iterator[str]:
    columns: list[tuple[str, int]] = []
    for line in lines:
        headings = [(found[0], found.start()) for found in _HEADING.finditer(line)]
        if tuple(heading for heading, _ in headings[:2]) == _FIRST:
            columns = headings
            yield line
        elif not line:
            columns = []
            yield line
        else:
            yield _row(line, columns, replace) if columns else line


def _row(line: str, columns: list[tuple[str, int]], replace: dict[str, Replace]) -> str:
    """A row is as wide as its headings unless a text stood out of its column; then all behind it is displaced."""
    starts = [start for _, start in columns]
    if any(line[start - 2 : start].strip() for start in starts[1:]):
        return _LEFT_OUT
    ends = [end for _, end in pairwise([*starts, len(line)])]
    cells = [line[start:end] for start, end in zip(starts, ends, strict=True)]
    shown = [_cell(heading, cell, replace) for (heading, _), cell in zip(columns, cells, strict=True)]
    return "".join(shown).rstrip()


def _cell(heading: str, cell: str, replace: dict[str, Replace]) -> str:
    value = cell.strip()
    return replace[heading](value).ljust(len(cell) - 2) + "  " if heading in replace and value else cell
