"""`astbtd list`: the crashes in the store, newest first."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice

from astbtd.archive.outline import Outline
from astbtd.archive.store import DamagedRecord, Store
from astbtd.cli import period
from astbtd.cli.common import add_json, coloured, local, open_store, readable, warn, write_json
from astbtd.cli.table import Column, print_table, terminal_width
from astbtd.errors import ExitCode
from astbtd.model import Crash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)
    period.add_arguments(parser)
    parser.add_argument("--signature", metavar="ID", help="crashes of this signature (a prefix will do)")
    parser.add_argument("--signal", metavar="NAME", help="crashes by this signal, such as SIGSEGV")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints a table, or JSON. Raises NothingMatched where a table would be empty."""
    store = open_store(options)
    crashes = list(islice(_matching(store, options), options.limit))
    if options.json:
        write_json(list(_whole(store, crashes)))
    elif crashes:
        print_table(_COLUMNS, map(_row, crashes))
    else:
        raise period.nothing_matched(store)
    return ExitCode.DONE


def _matching(store: Store, options: argparse.Namespace) -> Iterator[Outline]:
    wanted_signal = options.signal and "SIG" + options.signal.upper().removeprefix("SIG")
    for crash in period.within(readable(store), options):
        if options.signature and not crash.signature.id.startswith(options.signature):
            continue
        if wanted_signal and (crash.signal is None or crash.signal.name != wanted_signal):
            continue
        yield crash


def _whole(store: Store, crashes: Iterable[Outline]) -> Iterator[Crash]:
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


def _row(crash: Outline) -> tuple[str, ...]:
    thinned = "thinned" if crash.texts_removed_at else ""
    return (
        _time(crash),
        str(crash.process.pid or "-"),
        crash.signal.name if crash.signal else "-",
        crash.diagnosis.verdict,
        crash.core.state,
        ",".join(filter(None, ("pinned" if crash.pinned else "", thinned))),
        crash.diagnosis.crash_function or "-",
        crash.id,
    )


def _time(crash: Outline) -> str:
    narrow = (terminal_width() or _WIDE) < _WIDE
    return f"{crash.crashed_at.astimezone():%Y-%m-%d %H:%M:%S}" if narrow else local(crash.crashed_at)
