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
from astbtd.settings import RetentionSettings
from astbtd.store import store_schema
from astbtd.store.retention.object_removal import ObjectRemoval, plan_object_removals, summarize_objects
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
    settings = load_settings(options).retention
    removals: Sequence[Removal] = plan_removals(store, settings, datetime.now(UTC))
    if options.dry_run:
        objects: Sequence[ObjectRemoval] = plan_object_removals(
            store, settings.objects.size, without_cores={each.id for each in removals}
        )
    else:
        removals = _remove(store, removals)
        objects = _remove_objects(store, settings)
    if options.json:
        size = sum(removal.bytes for removal in removals) + sum(removal.bytes for removal in objects)
        write_json({"removals": removals, "objects": objects, "bytes": size})
    else:
        _print(removals, objects, dry_run=options.dry_run)
    return ExitCode.DONE


def _print(removals: Sequence[Removal], objects: Sequence[ObjectRemoval], *, dry_run: bool) -> None:
    summaries = [summarize(removals)] if removals else []
    summaries += [summarize_objects(objects)] if objects else []
    if summaries:
        print_table(_COLUMNS, [*map(_row, removals), *map(_object_row, objects)])
        write_text(f"\n{'would remove' if dry_run else 'removed'} {' and '.join(summaries)}\n")
    else:
        write_text("nothing to remove\n")


def _remove_objects(store: Store, settings: RetentionSettings) -> Sequence[ObjectRemoval]:
    from astbtd.daemon.maintenance import remove_objects  # as below

    return remove_objects(store, settings.objects.size)


def _remove(store: Store, removals: Sequence[Removal]) -> Sequence[Removal]:
    from astbtd.daemon.maintenance import remove_and_log  # imports systemd, which `--dry-run` does not need

    with Progress("removing") as progress:
        return remove_and_log(store, removals, lambda done: progress.show_count(done, len(removals)))


_COLUMNS = (Column("WHAT"), Column("SIZE", str.rjust), Column("ID"), Column("WHY", min_width=20))


def _row(removal: Removal) -> tuple[str, ...]:
    return removal.what, format_size(removal.bytes), removal.id, removal.reason


def _object_row(removal: ObjectRemoval) -> tuple[str, ...]:
    return "object", format_size(removal.bytes), removal.build_id, removal.reason
