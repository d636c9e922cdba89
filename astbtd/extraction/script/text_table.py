"""Format structures found in a core as a table, one line each, whatever the memory contains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import gdb

from astbtd.extraction.script.containers import ContainerWalk
from astbtd.extraction.script.core_values import Missing, member
from astbtd.lib.escaping import printable_line

MAX_COLUMN_WIDTH = 60  # characters; a longer text shifts the columns to its right
UNREADABLE = "<unreadable>"


class Column:
    """A column of a table: the first of the member paths that exists, formatted by `format_value`."""

    def __init__(self, heading: str, format_value: Callable[[gdb.Value], str], *paths: str) -> None:
        self.heading = heading
        self._format_value = format_value
        self._paths = paths

    def cell(self, item: gdb.Value) -> str:
        """Return the text for one item, empty if this version of Asterisk has no such member."""
        try:
            return printable_line(self._format_value(member(item, *self._paths)))
        except gdb.MemoryError:
            return UNREADABLE
        except Missing:
            return ""


def as_number(value: gdb.Value) -> str:
    """Return a number in decimal."""
    return str(int(value))


def as_enumerator(value: gdb.Value) -> str:
    """Return the name of an enumerator."""
    return str(value)


def as_time(value: gdb.Value) -> str:
    """Return a struct timeval as a time in UTC."""
    return format_time(int(value["tv_sec"]), int(value["tv_usec"]))


def format_time(seconds: int, microseconds: int = 0) -> str:
    """Return a time since 1970 as text in UTC; empty for 0 seconds, and the number if it is not a valid time.

    Like ast_coredumper, omit the microseconds if they are 0.
    """
    if not seconds:
        return ""
    fraction = f".{microseconds:06}" if 0 < microseconds < 1_000_000 else ""
    try:
        return time.strftime(f"%Y-%m-%d %H:%M:%S{fraction} UTC", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def format_table(
    title: str, columns: Sequence[Column], items: Iterable[gdb.Value], walk: ContainerWalk, expected: int
) -> str:
    """Return the items as a table sorted by the first column, preceded by the remarks of the walk that found them.

    `expected` is the number of items according to the container.
    """
    rows = [[column.cell(item) for column in columns] for item in items]
    rows.sort(key=lambda row: row[0].lower())
    count = str(len(rows))
    if len(rows) != expected:
        count += f", expected {expected}"
    lines = [f"{title} ({count}):\n"]
    lines += [f"  ({remark})\n" for remark in walk.remarks]  # complete: all items were read above
    if rows:
        headings = [column.heading for column in columns]
        lines += _align([headings, *rows])
    return "".join(lines)


def _align(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [min(MAX_COLUMN_WIDTH, max(map(len, cells))) for cells in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n"
