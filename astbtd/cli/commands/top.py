"""`astbtd top`: signatures by number of crashes, or the sites of one signature."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from astbtd.cli.common import add_json, load_summaries, open_store, write_json, write_text
from astbtd.cli.filter_options import add_filter_options, filter_by_time, is_within_period, no_match_error
from astbtd.cli.table import Column, print_table
from astbtd.errors import ExitCode, NothingMatched, UsageError
from astbtd.store.record import SiteFields
from astbtd.store.signature_statistics import SignatureCount, SiteCount, count_by_signature, count_by_site
from astbtd.store.store import DamagedRecord, Store

_BUILD_DIGITS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)
    add_filter_options(parser)
    parser.add_argument(
        "--sites", metavar="SIGNATURE", type=_signature_id, help="list the exact places of this signature's crashes"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Print a table, or JSON. Raises NothingMatched if the table would be empty."""
    store = open_store(options)
    if options.sites:
        return _list_sites(store, options)
    crashes = filter_by_time(load_summaries(store, store.newest()), options)
    counts = count_by_signature(crashes, options.since, options.until or datetime.now(UTC))[: options.limit]
    if options.json:
        write_json(counts)
    elif counts:
        print_table(_COLUMNS, map(_row, counts))
        trend = counts[0].trend
        write_text(f"\nTREND: from {_format_minute(trend.since)} to {_format_minute(trend.until)}\n")
    else:
        raise no_match_error(store)
    return ExitCode.DONE


def _list_sites(store: Store, options: argparse.Namespace) -> ExitCode:
    """Print the sites of the signatures that start with the given id."""
    matching = (crash for crash in _iter_site_fields(store) if is_within_period(crash.crashed_at, options))
    of_pbx = (crash for crash in matching if not crash.foreign)
    signature = [crash for crash in of_pbx if crash.signature and crash.signature.id.startswith(options.sites)]
    counts = count_by_site(signature)[: options.limit]
    if options.json:
        write_json(counts)
    elif counts:
        print_table(_SITE_COLUMNS, map(_site_row, counts))
    else:
        raise NothingMatched(f"no crash in {store.root} has the signature {options.sites}", "`astbtd top` lists all")
    return ExitCode.DONE


def _iter_site_fields(store: Store) -> Iterator[SiteFields]:
    for crash_id in store.newest():
        with suppress(DamagedRecord):  # `list` warns about damaged records
            yield store.load_part(crash_id, SiteFields)


def _signature_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{1,12}", text):
        raise UsageError(f"invalid signature {text!r}", "copy an id from the column ID of `astbtd top`")
    return text


_SITE_COLUMNS = (
    Column("COUNT", str.rjust),
    Column("CORES", str.rjust),
    Column("FIRST SEEN", drop_order=3),
    Column("LAST SEEN"),
    Column("VERSIONS", min_width=12, drop_order=2),
    Column("BUILD", drop_order=1),
    Column("SITE"),
    Column("PLACE", min_width=20),
)


def _site_row(count: SiteCount) -> tuple[str, ...]:
    return (
        str(count.count),
        str(count.cores),
        _format_minute(count.first_seen),
        _format_minute(count.last_seen),
        " ".join(count.versions) or "-",
        count.build_id[:_BUILD_DIGITS] if count.build_id else "-",
        count.site or "-",
        count.place or "-",
    )


_COLUMNS = (
    Column("COUNT", str.rjust),
    Column("TREND"),
    Column("FIRST SEEN", drop_order=2),
    Column("LAST SEEN"),
    Column("VERSIONS", min_width=12, drop_order=1),
    Column("ID"),
    Column("SIGNATURE", min_width=20),
)


def _row(count: SignatureCount) -> tuple[str, ...]:
    return (
        str(count.count),
        _sparkline(count.trend.counts),
        _format_minute(count.first_seen),
        _format_minute(count.last_seen),
        " ".join(count.versions) or "-",
        count.signature.id,
        count.signature.text,
    )


def _format_minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def _sparkline(counts: Sequence[int]) -> str:
    """Draw one bar per count, its height in proportion to the largest count; a dot for 0."""
    encoding = (sys.stdout.encoding or "").lower()
    bars = "▁▂▃▄▅▆▇█" if encoding.startswith("utf") else "12345678"
    largest = max(counts)
    drawn = []
    for count in counts:
        height = -(-count * len(bars) // largest) if count else 0  # rounded up
        drawn.append(bars[height - 1] if height else ".")
    return "".join(drawn)
