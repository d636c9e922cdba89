"""`astbtd top`: signatures by number of crashes."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.cli.common import add_json, iter_summaries, open_store, write_json, write_text
from astbtd.cli.filter_options import add_filter_options, filter_by_time, no_match_error
from astbtd.cli.table import Column, print_table
from astbtd.errors import ExitCode
from astbtd.store.signature_statistics import SignatureCount, count_by_signature


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)
    add_filter_options(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Print a table, or JSON. Raises NothingMatched if the table would be empty."""
    store = open_store(options)
    crashes = filter_by_time(iter_summaries(store), options)
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
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


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
