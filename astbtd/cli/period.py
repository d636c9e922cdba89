"""The options --since, --until and --limit, which `list` and `top` share."""

import argparse
from collections.abc import Iterator
from datetime import datetime
from itertools import dropwhile, takewhile

from astbtd.errors import NothingMatched
from astbtd.store.id_lookup import nothing_yet
from astbtd.store.outline import RecordSummary
from astbtd.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--since", metavar="TIME", type=_time, help="crashes from this time on, such as '2h ago'")
    parser.add_argument("--until", metavar="TIME", type=_time, help="crashes up to this time")
    parser.add_argument("--limit", metavar="N", type=_positive, help="at most so many")


def within(crashes: Iterator[RecordSummary], options: argparse.Namespace) -> Iterator[RecordSummary]:
    """Those of `crashes`, which come newest first, that the options let through; no older one is read."""
    if options.until:
        crashes = dropwhile(lambda crash: crash.crashed_at > options.until, crashes)
    if options.since:
        crashes = takewhile(lambda crash: crash.crashed_at >= options.since, crashes)
    return crashes


def nothing_matched(store: Store) -> NothingMatched:
    """What to raise where a table would be empty."""
    if store.ids():
        return NothingMatched(f"no crash in {store.root} matches", "leave away a filter")
    return nothing_yet(store)


def _time(text: str) -> datetime:
    from astbtd.cli import time_options  # not needed by who gives no time

    return time_options.parse(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text!r}")
    return int(text)
