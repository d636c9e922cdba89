"""`astbtd list`: the crashes in the store, newest first."""

import argparse
from collections.abc import Iterator
from itertools import islice

from astbtd.archive.store import DamagedRecord, Store
from astbtd.cli import when
from astbtd.cli.common import add_json, coloured, local, open_store, warn, write, write_json, write_row
from astbtd.errors import ExitCode, NothingMatched
from astbtd.model import Crash
from astbtd.printable import printable_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)
    parser.add_argument("--since", metavar="TIME", type=when.parse, help="crashes from this time on, such as '2h ago'")
    parser.add_argument("--until", metavar="TIME", type=when.parse, help="crashes up to this time")
    parser.add_argument("--signature", metavar="ID", help="crashes of this signature (a prefix will do)")
    parser.add_argument("--signal", metavar="NAME", help="crashes by this signal, such as SIGSEGV")
    parser.add_argument("--limit", metavar="N", type=int, help="at most so many")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints a table, or JSON. Raises NothingMatched where a table would be empty."""
    store = open_store(options)
    crashes = list(islice(_matching(store, options), options.limit))
    if options.json:
        write_json(crashes)
    elif crashes:
        write(_HEADING)
        for crash in crashes:
            write_row(_row(crash))
    elif store.ids():
        raise NothingMatched(f"no crash in {store.root} matches", "leave away a filter")
    else:
        raise store.nothing_yet()
    return ExitCode.DONE


def _matching(store: Store, options: argparse.Namespace) -> Iterator[Crash]:
    wanted_signal = options.signal and "SIG" + options.signal.upper().removeprefix("SIG")
    for crash in _readable(store):
        if options.since and crash.crashed_at < options.since:
            continue
        if options.until and crash.crashed_at > options.until:
            continue
        if options.signature and not crash.signature.id.startswith(options.signature):
            continue
        if wanted_signal and (crash.signal is None or crash.signal.name != wanted_signal):
            continue
        yield crash


def _readable(store: Store) -> Iterator[Crash]:
    for crash_id in store.ids():
        try:
            yield store.load(crash_id)
        except DamagedRecord as error:
            warn([error.message])


_HEADING = f"{'TIME':<27} {'PID':>7} {'SIGNAL':<8} {'VERDICT':<8} {'CORE':<8} {'FUNCTION':<32} ID\n"


def _row(crash: Crash) -> str:
    signal = crash.signal.name if crash.signal else "-"
    function = printable_line(crash.diagnosis.crash_function or "-")
    verdict = coloured(crash.diagnosis.verdict, 8)
    when_and_who = f"{local(crash.crashed_at):<27} {crash.process.pid or '-':>7}"
    return f"{when_and_who} {signal:<8} {verdict} {crash.core.state:<8} {function:<32} {crash.id}\n"
