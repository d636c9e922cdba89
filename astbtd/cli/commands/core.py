"""`astbtd core`: writes a kept core, decompressed, for use with gdb."""

import argparse
import sys
from pathlib import Path

from astbtd.cli import pending_crash
from astbtd.cli.common import Progress, create_private_file, find_kept_core, open_store
from astbtd.errors import ExitCode, UsageError
from astbtd.store.id_lookup import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and options."""
    parser.add_argument("id", metavar="ID", help="which crash")
    parser.add_argument("--output", metavar="FILE", type=Path, help="output file (default, or '-': standard output)")


def run(options: argparse.Namespace) -> ExitCode:
    """Write the core. An existing file is not overwritten. Raise NothingMatched if the core was not kept.

    Wait for the crash if it is being processed: for the newest one, so that `latest` is right after a crash what people
    expect.
    """
    store = open_store(options)
    newest = pending_crash.find_newest(store) if options.id == "latest" else None
    if newest:
        pending_crash.wait_until_processed(store, newest)
    crash_id = resolve(store, options.id)
    pending_crash.wait_until_processed(store, crash_id)
    kept = find_kept_core(store, crash_id)
    if options.output in (None, Path("-")):
        if sys.stdout.isatty():
            command = f"astbtd core {options.id} --output core.{crash_id}"
            raise UsageError("refusing to write a core to a terminal", command)
        _write(kept, sys.stdout.fileno())
        return ExitCode.DONE
    with create_private_file(options.output) as descriptor:
        _write(kept, descriptor)
    return ExitCode.DONE


def _write(kept: Path, target: int) -> None:
    from astbtd.store.core_archive import decompress_core  # imports zstandard

    with Progress("decompressing") as progress:
        decompress_core(kept, target, progress)
