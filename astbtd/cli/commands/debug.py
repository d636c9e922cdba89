"""`astbtd debug`: run gdb on a kept core, with the objects and the debug files of its build."""

import argparse
import sys
from contextlib import ExitStack, suppress

from astbtd.cli.common import Progress, find_kept_core, load_settings, open_store, warn
from astbtd.errors import ExitCode
from astbtd.extraction.debug_session import DebugSession
from astbtd.lib import files
from astbtd.pipeline.components import assemble
from astbtd.pipeline.kept_core import opened_core, recorded_facts
from astbtd.store.id_lookup import resolve
from astbtd.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("id", metavar="ID", help="which crash")
    parser.add_argument("arguments", metavar="ARGS", nargs="*", help="arguments of gdb, after --")


def run(options: argparse.Namespace) -> ExitCode:
    """Run gdb until it ends. What it needed is removed again, also what an earlier session has left that was killed.

    Raise NothingMatched if the core was not kept.
    """
    store = open_store(options)
    crash = store.load(resolve(store, options.id))
    find_kept_core(store, crash.id)
    parts = assemble(load_settings(options), lambda: None)
    with files.wrap_os_error("cannot prepare the core for gdb"):
        _remove_leftovers(store)
        with files.private_directory(store.incoming) as directory, ExitStack() as stack:
            with Progress("decompressing") as progress:
                group = parts.extractor.user.gid
                opened = opened_core(store, crash, directory / "core", group, parts.reserve, progress)
                core = stack.enter_context(opened)
            sys.stdout.flush()
            session = DebugSession(parts.extractor, lambda line: warn([line]))
            status = session.run(core, recorded_facts(core, crash), directory, options.arguments)
    return ExitCode.FAILED if status else ExitCode.DONE


def _remove_leftovers(store: Store) -> None:
    """Remove the directories of sessions that were killed."""
    for directory in store.incoming.glob(f"{files.PRIVATE_DIRECTORY_PREFIX}*"):
        if not files.is_in_use(directory):
            with suppress(OSError):
                files.remove_tree(directory)
