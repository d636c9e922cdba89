"""`astbtd core`: a kept core, decompressed, for a developer's own gdb."""

import argparse
import os
import sys
from pathlib import Path

from astbtd.cli.common import Progress, local, new_file, open_store
from astbtd.errors import AstbtdError, ExitCode, NothingMatched, UsageError
from astbtd.store.id_lookup import resolve
from astbtd.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("id", metavar="ID", help="which crash")
    parser.add_argument("--output", metavar="FILE", type=Path, help="where to ('-' or none: standard output)")


def run(options: argparse.Namespace) -> ExitCode:
    """Writes the core; a file that exists is not overwritten. Raises NothingMatched if none was kept."""
    store = open_store(options)
    crash_id = resolve(store, options.id)
    kept = _kept(store, crash_id)
    if options.output in (None, Path("-")):
        if sys.stdout.isatty():
            raise UsageError("a core is not for a terminal", f"astbtd core {options.id} --output core.{crash_id}")
        _write(kept, sys.stdout.fileno())
        return ExitCode.DONE
    with new_file(options.output) as descriptor:
        _write(kept, descriptor)
    return ExitCode.DONE


def _kept(store: Store, crash_id: str) -> Path:
    kept = store.kept_core(crash_id)
    if not kept.exists():
        core = store.load(crash_id).core
        since = f" on {local(core.removed_at)}" if core.removed_at else ""
        raise NothingMatched(f"the core of crash {crash_id} is not in the store: it was {core.state}{since}", core.path)
    if not os.access(kept, os.R_OK):
        raise AstbtdError(f"{kept} is readable by root only: a core holds passwords", "use sudo")
    return kept


def _write(kept: Path, target: int) -> None:
    from astbtd.store.core_archive import write_out  # brings zstandard

    with Progress("decompressing") as progress:
        write_out(kept, target, progress)
