"""`astbtd list`: the crashes and captures in the store, newest first, or new ones as they are recorded."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from astbtd.cli.common import add_json, load_summaries, open_store, warn, write_json, write_json_line
from astbtd.cli.crash_table import COLUMNS, capture_row, crash_row, merged_rows, typical_row
from astbtd.cli.filter_options import add_filter_options, filter_by_time, is_within_period, no_match_error, parse_signal
from astbtd.cli.table import print_streamed_row, print_table
from astbtd.errors import AstbtdError, ExitCode, NothingMatched, UsageError
from astbtd.store.captures import Captures
from astbtd.store.record import RecordSummary
from astbtd.store.store import DamagedRecord, RemovedCrash, Store

if TYPE_CHECKING:
    from datetime import datetime

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
    parser.add_argument(
        "--follow", action="store_true", help="print new crashes as they are recorded, until interrupted"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Print a table, or JSON. Raises NothingMatched if the table would be empty, UsageError."""
    store = open_store(options)
    if options.follow:
        return _follow(store, options)
    crashes = [] if options.deadlocks else list(islice(_find_crashes(store, options), options.limit))
    captures = list(islice(_find_captures(store, options), options.limit))
    if options.json:
        write_json(captures if options.deadlocks else list(_load_records(store, crashes)))
    elif crashes or captures:
        print_table(COLUMNS, islice(merged_rows(crashes, captures), options.limit))
    elif options.deadlocks:
        raise NothingMatched(f"no capture in {store.root} matches", "`astbtd deadlock` makes one")
    else:
        raise no_match_error(store)
    return ExitCode.DONE


def _find_crashes(store: Store, options: argparse.Namespace) -> Iterator[RecordSummary]:
    for crash in filter_by_time(load_summaries(store, store.newest()), options):
        if _is_selected(crash, options):
            yield crash


def _is_selected(crash: RecordSummary, options: argparse.Namespace) -> bool:
    """Return whether a crash is one of those that the options select, whatever its time."""
    if options.foreign and not crash.foreign:
        return False
    return _has_signature(crash, options.signature) and _has_signal(crash, options.signal)


def _has_signature(crash: RecordSummary, prefix: str | None) -> bool:
    """Return whether a crash has a signature that starts with `prefix`. None stands for any crash."""
    return prefix is None or (crash.signature is not None and crash.signature.id.startswith(prefix))


def _has_signal(crash: RecordSummary, name: str | None) -> bool:
    """Return whether a crash has a signal. None stands for any crash."""
    return name is None or (crash.signal is not None and crash.signal.name == name)


def _find_captures(store: Store, options: argparse.Namespace) -> Iterator["Deadlock"]:
    """Yield the captures within the period, newest first."""
    captures = Captures(store.root)
    if _includes_captures(options):
        yield from _load_captures(captures, captures.ids(), options)


def _includes_captures(options: argparse.Namespace) -> bool:
    """Return whether captures are listed. They have no signature and no signal, so these filters omit them.

    JSON has one kind of record only: captures with --deadlocks, else crashes.
    """
    if options.signature or options.signal or options.foreign:
        return False
    return bool(options.deadlocks or not options.json)


def _load_captures(captures: Captures, ids: Iterable[str], options: argparse.Namespace) -> Iterator["Deadlock"]:
    for capture_id in ids:
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


def _follow(store: Store, options: argparse.Namespace) -> ExitCode:
    """Print what is recorded from now on, with --since also what was recorded before, oldest first.

    End after --limit entries, when interrupted, or when the reader of the output has ended.
    """
    from astbtd.cli.directory_changes import iter_changes  # slow to import

    if options.until:
        raise UsageError("--until cannot be combined with --follow", "omit one of them; --limit N ends after N crashes")
    new = _NewEntries(store, options)
    changes = iter_changes(new.directories)
    next(changes)  # from here on, none is missed
    if not options.since:
        new.skip_present()
    if not options.json:
        _print_row([column.heading for column in COLUMNS])
    batches = (new.take() for _ in chain([None], changes))
    for entry in islice(chain.from_iterable(batches), options.limit):
        _print_entry(store, entry, options)
    return ExitCode.DONE


class _NewEntries:
    """Finds the crashes and captures that were not there at the last look."""

    def __init__(self, store: Store, options: argparse.Namespace) -> None:
        self._store = store
        self._captures = Captures(store.root)
        self._options = options
        self._known_crashes: set[str] = set()
        self._known_captures: set[str] = set()

    @property
    def directories(self) -> list[str]:
        """The directories in which they appear."""
        return [str(self._store.root / "crashes"), str(self._store.root / "deadlocks")]

    def skip_present(self) -> None:
        """Do not count what is there now as new."""
        self._known_crashes = set(self._store.ids())
        self._known_captures = set(self._captures.ids())

    def take(self) -> list["RecordSummary | Deadlock"]:
        """Return the new ones that the options select, oldest first."""
        crashes, captures = self._store.ids(), self._captures.ids()
        new_crashes = [each for each in crashes if each not in self._known_crashes]
        new_captures = [each for each in captures if each not in self._known_captures]
        self._known_crashes, self._known_captures = set(crashes), set(captures)
        return sorted([*self._load_crashes(new_crashes), *self._load_captures(new_captures)], key=_time)

    def _load_crashes(self, ids: Sequence[str]) -> Iterator[RecordSummary]:
        if self._options.deadlocks:
            return
        for crash in load_summaries(self._store, ids):
            if _is_selected(crash, self._options) and is_within_period(crash.crashed_at, self._options):
                yield crash

    def _load_captures(self, ids: Sequence[str]) -> Iterator["Deadlock"]:
        if _includes_captures(self._options):
            yield from _load_captures(self._captures, ids, self._options)


def _time(entry: "RecordSummary | Deadlock") -> "datetime":
    return entry.crashed_at if isinstance(entry, RecordSummary) else entry.captured_at


def _print_entry(store: Store, entry: "RecordSummary | Deadlock", options: argparse.Namespace) -> None:
    """Print a row, or one line of JSON, at once."""
    if not options.json:
        _print_row(crash_row(entry) if isinstance(entry, RecordSummary) else capture_row(entry))
        return
    for record in _load_records(store, [entry]) if isinstance(entry, RecordSummary) else [entry]:
        write_json_line(record)
    sys.stdout.flush()


def _print_row(texts: Sequence[str]) -> None:
    print_streamed_row(COLUMNS, texts, typical_row())
    sys.stdout.flush()
