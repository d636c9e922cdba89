"""`astbtd extract ID...`: repeat the extraction of recorded crashes with today's symbols."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.cli.common import write_json_line, write_text
from astbtd.errors import NothingMatched, UsageError
from astbtd.lib.escaping import printable_line
from astbtd.model.record_summary import Verdict
from astbtd.store.store import Store

if TYPE_CHECKING:
    from astbtd.pipeline.reextraction import ExtractedAgain

BY_COMMAND = "astbtd extract"
"""The reason in the history of a crash."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that select recorded crashes."""
    parser.add_argument("--signature", metavar="SIG", help="extract the kept cores of this signature again")
    parser.add_argument(
        "--unusable", action="store_true", help="extract kept cores again whose backtrace is not usable"
    )


def names_crash(name: str) -> bool:
    """Return whether an argument is an id, `latest` or `-N`, and not a file."""
    return "/" not in name and not os.path.lexists(name)


def select(store: Store, names: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return the ids of the crashes that are named or that match the options, newest first for the latter.

    Raise NothingMatched, UsageError.
    """
    from astbtd.store.id_lookup import resolve  # `extract --output` does not need it

    named = [resolve(store, name) for name in names]
    if not (options.signature or options.unusable):
        return list(dict.fromkeys(named))
    if names:
        raise UsageError("give either ids or --signature, --unusable", "omit the ids, or the options")
    found = list(_matching(store, options))
    if not found:
        raise NothingMatched(f"no kept core in {store.root} matches", "`astbtd list` shows all crashes")
    return found


def print_result(result: "ExtractedAgain", directory: Path, options: argparse.Namespace) -> None:
    """Print the record, or one line with the verdicts before and after."""
    if options.json:
        write_json_line(result.after)
        return
    before, after = result.before.diagnosis.verdict, result.after.diagnosis.verdict
    what = printable_line(result.after.what)
    if result.worse is not None:
        outcome = f"backtrace {after}; the new one is worse ({result.worse}) and was not kept"
    else:
        outcome = f"backtrace {after}" if before == after else f"backtrace {after}, was {before}"
    write_text(f"{directory}: {what}, {outcome}\n")


def _matching(store: Store, options: argparse.Namespace) -> Iterator[str]:
    for crash in store.summaries():
        if not store.has_core(crash.id) or (options.unusable and crash.diagnosis.verdict is Verdict.USABLE):
            continue
        signature = crash.signature.id if crash.signature else ""
        if not options.signature or signature.startswith(options.signature):
            yield crash.id
