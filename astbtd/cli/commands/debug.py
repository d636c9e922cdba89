"""`astbtd debug`: run gdb on a kept core, with the objects and the debug files of its build."""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from astbtd.cli.common import Progress, find_kept_core, load_settings, open_store, warn
from astbtd.elf.core_notes import NotACore, read_facts
from astbtd.errors import AstbtdError, ExitCode
from astbtd.extraction.debug_session import DebugSession
from astbtd.lib import files
from astbtd.model.crash import CoreFacts, Crash
from astbtd.pipeline.components import Components, assemble
from astbtd.store.core_archive import decompress_core
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
    kept = find_kept_core(store, crash.id)
    parts = assemble(load_settings(options), lambda: None)
    with files.wrap_os_error("cannot prepare the core for gdb"):
        _remove_leftovers(store)
        parts.reserve.check(crash.core.size)
        with files.private_directory(store.incoming) as directory:
            core = _decompress(kept, directory / "core", parts)
            try:
                sys.stdout.flush()
                session = DebugSession(parts.extractor, lambda line: warn([line]))
                status = session.run(core, _facts(core, crash), directory, options.arguments)
            finally:
                os.close(core)
    return ExitCode.FAILED if status else ExitCode.DONE


def _remove_leftovers(store: Store) -> None:
    """Remove the directories of sessions that were killed."""
    for directory in store.incoming.glob(f"{files.PRIVATE_DIRECTORY_PREFIX}*"):
        if not files.is_in_use(directory):
            with suppress(OSError):
                files.remove_tree(directory)


def _decompress(kept: Path, path: Path, parts: Components) -> int:
    """Write a kept core to a new file that gdb can read and nobody write; return a descriptor to read it."""
    user = parts.extractor.user
    target = files.create(path, files.GROUP_READS, user.gid if user.switched else -1)
    try:
        with Progress("decompressing") as progress:
            decompress_core(kept, target, progress)
        return os.open(f"/proc/self/fd/{target}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(target)


def _facts(core: int, crash: Crash) -> CoreFacts:
    try:
        return read_facts(core)
    except NotACore as error:
        raise AstbtdError(f"the kept core of {crash.id} cannot be read: {error}", "astbtd fsck") from error
