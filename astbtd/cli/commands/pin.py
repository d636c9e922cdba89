"""`astbtd pin` and `astbtd unpin`: exempt a crash from retention, or make it subject to retention again.

Two verbs in one small module: they differ in one value.
"""

import argparse
from dataclasses import replace

from astbtd.cli.common import open_store_for_writing, write_text
from astbtd.errors import ExitCode
from astbtd.store.id_lookup import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("id", metavar="ID", help="which crash")


def run(options: argparse.Namespace) -> ExitCode:
    """Change the record. Raise NothingMatched, or AstbtdError if permission is denied."""
    store = open_store_for_writing(options)
    pinned = options.verb == "pin"
    crash = store.change(resolve(store, options.id), lambda crash: replace(crash, pinned=pinned))
    if pinned:
        write_text(f"{crash.id} is pinned: retention removes nothing of it\n")
    else:
        write_text(f"{crash.id} is not pinned: retention applies to it\n")
    return ExitCode.DONE
