"""`astbtd pin` and `astbtd unpin`: exempts a crash from retention, or no longer."""

import argparse
from dataclasses import replace

from astbtd.cli.common import open_store_to_change, write
from astbtd.errors import ExitCode
from astbtd.store.id_lookup import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("id", metavar="ID", help="which crash")


def run(options: argparse.Namespace) -> ExitCode:
    """Changes the record. Raises NothingMatched, or AstbtdError where it is not permitted."""
    store = open_store_to_change(options)
    pinned = options.verb == "pin"
    crash = store.change(resolve(store, options.id), lambda crash: replace(crash, pinned=pinned))
    write(f"{crash.id} is pinned: retention takes nothing from it\n" if pinned else f"{crash.id} is not pinned\n")
    return ExitCode.DONE
