"""`astbtd list`: the crashes and captures in the store, newest first."""

import argparse
import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from astbtd.cli import period
from astbtd.cli.common import add_json, coloured, local, open_store, readable, warn, write_json
from astbtd.cli.table import Column, print_table, terminal_width
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.store.captures import Captures
from astbtd.store.outline import RecordSummary
from astbtd.store.store import DamagedRecord, Store

if TYPE_CHECKING:
    from astbtd.model.crash import Crash
    from astbtd.model.deadlock_capture import Deadlock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)
    period.add_arguments(parser)
    parser.add_argument("--signature", metavar="ID", help="crashes of this signature (a prefix will do)")
    parser.add_argument("--signal", metavar="NAME", help="crashes by this signal, such as SIGSEGV")
    parser.add_argument("--deadlocks", action="store_true", help="captures of a running Asterisk only")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints a table, or JSON. Raises NothingMatched where a table would be empty."""
    store = open_store(options)
    crashes = [] if options.deadlocks else list(islice(_matching(store, options), options.limit))
    captures = list(islice(_captures(store, options), options.limit))
    if options.json:
        write_json(captures if options.deadlocks else list(_whole(store, crashes)))
    elif crashes or captures:
        print_table(_COLUMNS, islice(_rows(crashes, captures), options.limit))
    elif options.deadlocks:
        raise NothingMatched(f"no capture in {store.root} matches", "`astbtd deadlock` makes one")
    else:
        raise period.nothing_matched(store)
    return ExitCode.DONE


def _matching(store: Store, options: argparse.Namespace) -> Iterator[RecordSummary]:
    wanted_signal = options.signal and "SIG" + options.signal.upper().removeprefix("SIG")
    for crash in period.within(readable(store), options):
        if options.signature and not crash.signature.id.startswith(options.signature):
            continue
        if wanted_signal and (crash.signal is None or crash.signal.name != wanted_signal):
            continue
        yield crash


def _captures(store: Store, options: argparse.Namespace) -> Iterator["Deadlock"]:
    """The captures, which have neither signature nor signal to be found by."""
    if options.signature or options.signal or (options.json and not options.deadlocks):
        return
    captures = Captures(store.root)
    for capture_id in captures.ids():
        try:
            capture = captures.load(capture_id)
        except AstbtdError as error:
            warn([error.message])
            continue
        if (options.since or capture.captured_at) <= capture.captured_at <= (options.until or capture.captured_at):
            yield capture


def _whole(store: Store, crashes: Iterable[RecordSummary]) -> Iterator["Crash"]:
    for crash in crashes:
        try:
            yield store.load(crash.id)
        except DamagedRecord as error:
            warn([error.message])


_COLUMNS = (
    Column("TIME"),
    Column("PID", str.rjust, dispensable=3),
    Column("SIGNAL"),
    Column("VERDICT", coloured),
    Column("CORE", dispensable=2),
    Column("NOTE", dispensable=1),
    Column("FUNCTION", least=8),
    Column("ID"),
)
_WIDE = 100
"""Characters on a line that leave room for the weekday and the time's zone."""


def _rows(crashes: Iterable[RecordSummary], captures: Iterable["Deadlock"]) -> Iterator[Sequence[str]]:
    """Both in one, newest first, as each comes."""
    died = ((crash.crashed_at, _row(crash)) for crash in crashes)
    living = ((capture.captured_at, _captured(capture)) for capture in captures)
    return (row for _, row in heapq.merge(died, living, key=lambda row: row[0], reverse=True))


def _row(crash: RecordSummary) -> tuple[str, ...]:
    thinned = "thinned" if crash.texts_removed_at else ""
    return (
        _time(crash.crashed_at),
        str(crash.process.pid or "-"),
        crash.signal.name if crash.signal else "-",
        crash.diagnosis.verdict,
        crash.core.state,
        ",".join(filter(None, ("pinned" if crash.pinned else "", thinned))),
        crash.diagnosis.crash_function or "-",
        crash.id,
    )


def _captured(capture: "Deadlock") -> tuple[str, ...]:
    """A capture in the columns of crashes: nothing died, so that it has no signal and no core."""
    waiting = next((wait.function for wait in capture.wait_for if wait.function), "-")
    process = str(capture.process.pid or "-")
    return (_time(capture.captured_at), process, "(live)", capture.finding, "-", "", waiting, capture.id)


def _time(moment: datetime) -> str:
    narrow = (terminal_width() or _WIDE) < _WIDE
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if narrow else local(moment)
