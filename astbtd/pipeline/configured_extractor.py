"""Create the extractor as configured, with what it needs of the store and of the machine."""

import grp
import os
from collections.abc import Callable
from pathlib import Path

from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.settings import Settings
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.store import Store
from astbtd.symbols.symbol_directories import SymbolDirectories

READERS = "astbtd"
"""The group whose members can read the texts."""


def configured_store(settings: Settings) -> Store:
    """Return the store, whose texts the group of the readers can read."""
    return Store(Path(os.path.realpath(settings.store)), reader_group())


def make_extractor(
    settings: Settings, store: Store, check_reserve: Callable[[int], None], check_interrupt: Callable[[], None]
) -> Extractor:
    """Create the extractor. Raise AstbtdError if the user that gdb runs as does not exist."""
    return Extractor(
        settings.gdb,
        find_sandbox_user(settings.gdb.user),
        store.group,
        settings.extract.symbols,
        check_reserve,
        check_interrupt,
        KeptObjects(store.root, store.group),
        SymbolDirectories(Path(settings.symbols.directory)).search_path,
    )


def reader_group() -> int:
    """Return the id of the group that can read the texts.

    Return -1, which means our own group, if that group does not exist or we are not root and cannot assign it.
    """
    if os.geteuid() != 0:
        return -1
    try:
        return grp.getgrnam(READERS).gr_gid
    except KeyError:
        return -1
