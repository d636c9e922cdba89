"""`astbtd list`: the crashes and captures in the store, newest first."""

import argparse
import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from astbtd.cli.common import add_json, colorize, format_local_time, iter_summaries, open_store, warn, write_json
from astbtd.cli.filter_options import add_filter_options, filter_by_time, is_within_period, no_match_error, parse_signal
from astbtd.cli.table import Column, print_table, terminal_width
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.store.captures import Captures
from astbtd.store.record import RecordSummary
from astbtd.store.store import DamagedRecord, RemovedCrash, Store

if TYPE_CHECKING:
    from astbtd.model.crash import Crash
    from astbtd.model.deadlock_capture import Deadlock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)
    add_filter_options(parser)
    parser.add_argument("--signature", metavar="ID", help="only crashes with this signature (id or prefix)")
    parser.add_argument(
        "--signal", metavar="SIGNAL", type=parse_signal, help="only crashes by this signal, such as SIGSEGV or 11"
    )
    parser.add_argument("--foreign", action="store_true", help="only crashes of programs that are not the PBX")
    parser.add_argument("--deadlocks", action="store_true", help="only captures of a running Asterisk")


def run(options: argparse.Namespace) -> ExitCode:
    """Print a table, or JSON. Raises NothingMatched if the table would be empty."""
    store = open_store(options)
    crashes = [] if options.deadlocks else list(islice(_find_crashes(store, options), options.limit))
    captures = list(islice(_find_captures(store, options), options.limit))
    if options.json:
        write_json(captures if options.deadlocks else list(_load_records(store, crashes)))
    elif crashes or captures:
        print_table(_COLUMNS, islice(_rows(crashes, captures), options.limit))
    elif options.deadlocks:
        raise NothingMatched(f"no capture in {store.root} matches", "`astbtd deadlock` makes one")
    else:
        raise no_match_error(store)
    return ExitCode.DONE


def _find_crashes(store: Store, options: argparse.Namespace) -> Iterator[RecordSummary]:
    for crash in filter_by_time(iter_summaries(store), options):
        matches = _has_signature(crash, options.signature) and _has_signal(crash, options.signal)
        if matches and (crash.foreign or not options.foreign):
            yield crash


def _has_signature(crash: RecordSummary, prefix: str | None) -> bool:
    """Return whether a crash has a signature that starts with `prefix`. None stands for any crash."""
    return prefix is None or (crash.signature is not None and crash.signature.id.startswith(prefix))


def _has_signal(crash: RecordSummary, name: str | None) -> bool:
    """Return whether a crash has a signal. None stands for any crash."""
    return name is None or (crash.signal is not None and crash.signal.name == name)


def _find_captures(store: Store, options: argparse.Namespace) -> Iterator["Deadlock"]:
    """Yield the captures within the period. Captures have no signature and no signal, so these filters omit them.

    JSON has one kind of record only: captures with --deadlocks, else crashes.
    """
    if options.signature or options.signal or options.foreign:
        return
    if options.json and not options.deadlocks:
        return

    captures = Captures(store.root)
    for capture_id in captures.ids():
        try:
            capture = captures.load(capture_id)
        except AstbtdError as error:
            warn([error.message])
        else:
            if is_within_period(capture.captured_at, options):
                yield capture


def _load_records(store: Store, crashes: Iterable[RecordSummary]) -> Iterator["Crash"]:
    for crash in crashes:
        try:
            yield store.load(crash.id)
        except RemovedCrash:
            continue
        except DamagedRecord as error:
            warn([error.message])


_COLUMNS = (
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


def _rows(crashes: Iterable[RecordSummary], captures: Iterable["Deadlock"]) -> Iterator[Sequence[str]]:
    """Merge crashes and captures, each newest first, into rows, newest first."""
    crash_rows = ((crash.crashed_at, _crash_row(crash)) for crash in crashes)
    capture_rows = ((capture.captured_at, _capture_row(capture)) for capture in captures)
    for _, row in heapq.merge(crash_rows, capture_rows, key=lambda timed: timed[0], reverse=True):
        yield row


def _crash_row(crash: RecordSummary) -> tuple[str, ...]:
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


def _capture_row(capture: "Deadlock") -> tuple[str, ...]:
    """A capture in the columns of crashes. The process did not die, so there is no signal and no core."""
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
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return format_local_time(moment)
