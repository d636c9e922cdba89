"""`astbtd prune`: applies retention now."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from astbtd.cli.common import (
    Progress,
    add_json,
    load_settings,
    open_store,
    open_store_for_writing,
    write_json,
    write_text,
)
from astbtd.cli.table import Column, print_table
from astbtd.errors import ExitCode
from astbtd.lib.quantities import format_size
from astbtd.store import store_schema
from astbtd.store.retention.planning import plan_removals
from astbtd.store.retention.removal_plan import Removal, summarize
from astbtd.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing; show what would be removed, and the reasons"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Remove what exceeds the limits, and print it. Raise AstbtdError if permission is denied."""
    store = open_store(options) if options.dry_run else open_store_for_writing(options)
    store_schema.refuse_newer(store.root)  # a dry run too: what we would remove, a newer version may keep
    removals: Sequence[Removal] = plan_removals(store, load_settings(options).retention, datetime.now(UTC))
    if not options.dry_run:
        removals = _remove(store, removals)
    if options.json:
        write_json({"removals": removals, "bytes": sum(removal.bytes for removal in removals)})
    elif removals:
        print_table(_COLUMNS, map(_row, removals))
        write_text(f"\n{'would remove' if options.dry_run else 'removed'} {summarize(removals)}\n")
    else:
        write_text("nothing to remove\n")
    return ExitCode.DONE


def _remove(store: Store, removals: Sequence[Removal]) -> Sequence[Removal]:
    from astbtd.daemon.maintenance import remove_and_log  # imports systemd, which `--dry-run` does not need

    with Progress("removing") as progress:
        return remove_and_log(store, removals, lambda done: progress.show_count(done, len(removals)))


_COLUMNS = (Column("WHAT"), Column("SIZE", str.rjust), Column("ID"), Column("WHY", min_width=20))


def _row(removal: Removal) -> tuple[str, ...]:
    return removal.what, format_size(removal.bytes), removal.id, removal.reason
