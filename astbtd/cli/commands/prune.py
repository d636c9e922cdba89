"""`astbtd prune`: retention, now."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.cli.common import Progress, add_json, load_settings, open_store, open_store_to_change, write, write_json
from astbtd.cli.table import Column, print_table
from astbtd.errors import ExitCode
from astbtd.lib.quantities import shown_size
from astbtd.store.retention.apply import planned
from astbtd.store.retention.policy import Removal, in_words
from astbtd.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    add_json(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing, only show what would be removed, and why"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Removes what is beyond the limits, and prints it. Raises AstbtdError where it is not permitted."""
    store = open_store(options) if options.dry_run else open_store_to_change(options)
    removals: Sequence[Removal] = planned(store, load_settings(options).retention, datetime.now(UTC))
    if not options.dry_run:
        removals = _removed(store, removals)
    if options.json:
        write_json({"removals": removals, "bytes": sum(removal.bytes for removal in removals)})
    elif removals:
        print_table(_COLUMNS, map(_row, removals))
        write(f"\n{'would remove' if options.dry_run else 'removed'} {in_words(removals)}\n")
    else:
        write("nothing to remove\n")
    return ExitCode.DONE


def _removed(store: Store, removals: Sequence[Removal]) -> Sequence[Removal]:
    from astbtd.daemon.retention_run import tidy  # brings systemd, which `--dry-run` does without

    with Progress("removing") as progress:
        return tidy(store, removals, lambda done: progress.so_many(done, len(removals)))


_COLUMNS = (Column("WHAT"), Column("SIZE", str.rjust), Column("ID"), Column("WHY", least=20))


def _row(removal: Removal) -> tuple[str, ...]:
    return removal.what, shown_size(removal.bytes), removal.id, removal.reason
