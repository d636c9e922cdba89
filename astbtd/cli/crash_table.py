"""The table of crashes and captures that `astbtd list` prints: its columns, and the row of each record."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from astbtd.cli.common import colorize, format_local_time
from astbtd.cli.table import Column, terminal_width
from astbtd.lib.quantities import format_local
from astbtd.store.record import RecordSummary

if TYPE_CHECKING:
    from astbtd.model.deadlock_capture import Deadlock

COLUMNS = (
    Column("TIME"),
    Column("PID", str.rjust, drop_order=3),
    Column("SIGNAL"),
    Column("VERDICT", colorize),
    Column("CORE", drop_order=2),
    Column("NOTE", drop_order=1),
    Column("FUNCTION", min_width=8),
    Column("ID", min_width=24, ellipsis="", narrow_order=0),
)
_WIDE_TERMINAL = 100
"""Characters on a line from which on times are printed with the weekday."""
_TYPICAL_NAME = 24  # characters of a function


def merged_rows(crashes: Iterable[RecordSummary], captures: Iterable["Deadlock"]) -> Iterator[Sequence[str]]:
    """Merge crashes and captures, each newest first, into rows, newest first."""
    crash_rows = ((crash.crashed_at, crash_row(crash)) for crash in crashes)
    capture_rows = ((capture.captured_at, capture_row(capture)) for capture in captures)
    for _, row in heapq.merge(crash_rows, capture_rows, key=lambda timed: timed[0], reverse=True):
        yield row


def crash_row(crash: RecordSummary) -> tuple[str, ...]:
    """Return the texts for a crash, one per column."""
    notes = ["foreign"] if crash.foreign else []
    if crash.pinned:
        notes.append("pinned")
    if crash.texts_removed_at:
        notes.append("thinned")
    return (
        _format_time(crash.crashed_at),
        str(crash.process.pid or "-"),
        crash.signal.name if crash.signal else "-",
        crash.diagnosis.verdict,
        crash.core.state,
        ",".join(notes),
        crash.diagnosis.crash_function or "-",
        crash.id,
    )


def capture_row(capture: "Deadlock") -> tuple[str, ...]:
    """Return the texts for a capture. The process did not die, so there is no signal and no core."""
    functions = [wait.function for wait in capture.wait_for if wait.function]
    return (
        _format_time(capture.captured_at),
        str(capture.process.pid or "-"),
        "(live)",
        capture.finding,
        "-",
        "",
        functions[0] if functions else "-",
        capture.id,
    )


def _format_time(moment: datetime) -> str:
    width = terminal_width()
    if width is not None and width < _WIDE_TERMINAL:
        return format_local(moment)
    return format_local_time(moment)


def typical_row() -> tuple[str, ...]:
    """Return texts as wide as those of most rows, for a table whose rows are not known yet."""
    now = datetime.now().astimezone()
    crash_id = f"{now:%Y%m%dT%H%M%SZ}-1234567-abcdef"
    return _format_time(now), "1234567", "SIGSEGV", "unusable", "removed", "foreign", "f" * _TYPICAL_NAME, crash_id
