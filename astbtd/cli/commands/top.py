"""`astbtd top`: the signatures by how often they crashed."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.cli import period
from astbtd.cli.common import add_json, open_store, readable, write, write_json
from astbtd.cli.table import Column, print_table
from astbtd.errors import ExitCode
from astbtd.store.signature_statistics import SignatureCount, tally


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)
    period.add_arguments(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Prints a table, or JSON. Raises NothingMatched where a table would be empty."""
    store = open_store(options)
    crashes = period.within(readable(store), options)
    tallies = tally(crashes, options.since, options.until or datetime.now(UTC))[: options.limit]
    if options.json:
        write_json(tallies)
    elif tallies:
        print_table(_COLUMNS, map(_row, tallies))
        trend = tallies[0].trend
        write(f"\nTREND is from {_minute(trend.since)} to {_minute(trend.until)}.\n")
    else:
        raise period.nothing_matched(store)
    return ExitCode.DONE


_COLUMNS = (
    Column("COUNT", str.rjust),
    Column("TREND"),
    Column("FIRST SEEN", dispensable=2),
    Column("LAST SEEN"),
    Column("VERSIONS", least=12, dispensable=1),
    Column("ID"),
    Column("SIGNATURE", least=20),
)


def _row(tally: SignatureCount) -> tuple[str, ...]:
    return (
        str(tally.count),
        _sparkline(tally.trend.counts),
        _minute(tally.first_seen),
        _minute(tally.last_seen),
        " ".join(tally.versions) or "-",
        tally.signature.id,
        tally.signature.text,
    )


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _sparkline(counts: Sequence[int]) -> str:
    """A bar for each count, as high as its share of the highest; a dot for none."""
    bars = "▁▂▃▄▅▆▇█" if (sys.stdout.encoding or "").lower().startswith("utf") else "12345678"
    return "".join(bars[-(-count * len(bars) // max(counts)) - 1] if count else "." for count in counts)
