"""Create the components that process cores, as configured. The daemon and the commands share this."""

import grp
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astbtd.claims.claim import Claims
from astbtd.claims.private_copy import Unpacker
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.settings import Settings
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from astbtd.symbols.symbol_directories import SymbolDirectories

READERS = "astbtd"
"""The group whose members can read the texts."""


@dataclass(frozen=True)
class Components:
    """The store and the components that work on it."""

    store: Store
    reserve: DiskReserve
    claims: Claims
    extractor: Extractor


def assemble(
    settings: Settings, check_interrupt: Callable[[], None], make_room: Callable[[int], None] = lambda _: None
) -> Components:
    """Create the components for `settings`. Raises AstbtdError if the user that gdb runs as does not exist.

    `check_interrupt` is called during long work, and raises to interrupt it. `make_room` may free disk space: it is
    called with the number of bytes that do not fit.
    """
    store = Store(Path(os.path.realpath(settings.store)), reader_group())
    reserve = DiskReserve(store.root, settings.retention.minimum_free, make_room)
    gdb = find_sandbox_user(settings.gdb.user)
    unpacker = Unpacker(settings.unpacking, reserve.check, check_interrupt)
    claims = Claims(store.incoming, gdb.gid if gdb.switched else -1, unpacker)
    extractor = Extractor(
        settings.gdb,
        gdb,
        store.group,
        settings.extract.symbols,
        reserve.check,
        check_interrupt,
        KeptObjects(store.root, store.group),
        SymbolDirectories(Path(settings.symbols.directory)).search_path,
    )
    return Components(store, reserve, claims, extractor)


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
