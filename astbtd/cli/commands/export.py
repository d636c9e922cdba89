"""`astbtd export`: pack a crash with its core, program, modules and debug files for a developer."""

import argparse
import os
import sys
from pathlib import Path

from astbtd.cli.common import Progress, create_private_file, find_kept_core, load_settings, open_store, warn, write_text
from astbtd.errors import AstbtdError, ExitCode, UsageError
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_size, pluralize
from astbtd.model.crash import Crash
from astbtd.pipeline.developer_archive import SCRIPT_FILE, Contents, DeveloperArchive
from astbtd.store.id_lookup import resolve
from astbtd.store.store import Store
from astbtd.symbols.symbol_directories import SymbolDirectories

_STANDARD_OUTPUT = Path("-")
_MAX_LISTED = 5
_SEND_PRIVATELY = "the core contains passwords and calls: send privately; never attach it to a public issue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and options."""
    parser.add_argument("id", metavar="ID", help="which crash")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="output file, a tar.gz ('-': standard output)"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Write the archive, and print what it contains to standard error. An existing file is not overwritten.

    Raise NothingMatched if the core was not kept.
    """
    if os.geteuid() != 0:
        raise AstbtdError("cannot export a core: only root may read it", f"sudo astbtd export {options.id}")
    store = open_store(options)
    crash = store.load(resolve(store, options.id))
    find_kept_core(store, crash.id)
    directories = SymbolDirectories(Path(load_settings(options).symbols.directory))
    if options.output == _STANDARD_OUTPUT:
        _refuse_terminal(options.id)
        contents = _write(store, crash, directories, sys.stdout.fileno())
    else:
        with create_private_file(options.output) as descriptor:
            contents = _write(store, crash, directories, descriptor)
            os.fsync(descriptor)
        write_text(f"{options.output}\n")
    warn(_summarize(contents))
    return ExitCode.DONE


def _refuse_terminal(crash_id: str) -> None:
    if sys.stdout.isatty():
        command = f"astbtd export {crash_id} --output - | age --recipient KEY >FILE"
        raise UsageError("refusing to write an archive to a terminal", command)


def _write(store: Store, crash: Crash, directories: SymbolDirectories, descriptor: int) -> Contents:
    with Progress("packing") as progress, os.fdopen(os.dup(descriptor), "wb") as target:
        return DeveloperArchive(store, directories, progress).write(crash, target)


def _summarize(contents: Contents) -> list[str]:
    """Return the lines that say what an archive contains, and what it lacks."""
    objects = pluralize(len(contents.objects), "program or library", "programs and libraries")
    debug_files = pluralize(contents.debug_files, "debug file", "debug files")
    lines = [
        f"packed: the core ({format_size(contents.core_bytes)}), {objects}, {debug_files}, "
        f"{pluralize(len(contents.texts), 'text', 'texts')}; {SCRIPT_FILE} opens them in gdb",
    ]
    if contents.missing:
        listed = ", ".join(map(printable_line, contents.missing[:_MAX_LISTED]))
        more = len(contents.missing) - _MAX_LISTED
        lines.append(
            f"not packed, since that build is not here any more: {listed}" + (f" and {more} more" * (more > 0))
        )
    return [*lines, _SEND_PRIVATELY]
