"""Lays out what a walk found as a table for people: a line each, whatever is in the memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import gdb

from astbtd.extraction.script.containers import ContainerWalk
from astbtd.extraction.script.core_values import NotThere, member
from astbtd.lib.escaping import printable_line

WIDEST_COLUMN = 60  # characters; a longer text stands out of its column
UNREADABLE = "<unreadable>"


class Column:
    """A heading, and what stands under it: the member at the first of the paths that there is, as `show` gives it."""

    def __init__(self, heading: str, show: Callable[[gdb.Value], str], *paths: str) -> None:
        self.heading = heading
        self._show = show
        self._paths = paths

    def cell(self, item: gdb.Value) -> str:
        """The text of the column for one item; a member that this version of Asterisk lacks is left out."""
        try:
            return printable_line(self._show(member(item, *self._paths)))
        except gdb.MemoryError:
            return UNREADABLE
        except NotThere:
            return ""


def as_number(value: gdb.Value) -> str:
    """A number in decimal."""
    return str(int(value))


def as_name(value: gdb.Value) -> str:
    """An enumerator's name."""
    return str(value)


def as_moment(value: gdb.Value) -> str:
    """A struct timeval in UTC."""
    return moment(int(value["tv_sec"]))


def moment(seconds: int) -> str:
    """A time in seconds since 1970, in UTC; nothing for 0, and the number itself for what is no time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else ""
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def table(title: str, columns: Sequence[Column], items: Iterable[gdb.Value], walk: ContainerWalk, claimed: int) -> str:
    """The items in the order of their first column, behind the walk's remarks; there should be `claimed` of them."""
    rows = sorted(([column.cell(item) for column in columns] for item in items), key=lambda row: row[0].lower())
    count = str(len(rows)) if len(rows) == claimed else f"{len(rows)}, where there should be {claimed}"
    head = f"{title} ({count}):\n" + "".join(f"  ({remark})\n" for remark in walk.remarks)
    return head + "".join(_lines([[column.heading for column in columns], *rows]) if rows else ())


def _lines(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [min(WIDEST_COLUMN, max(map(len, cells))) for cells in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n"
