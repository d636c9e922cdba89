"""Puts the parts together as the settings say; the daemon and the `extract` command share it."""

import grp
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astbtd.asterisk.asterisk_processes import run_directory
from astbtd.asterisk.console import CONTROL_SOCKET
from astbtd.claims.claim import Claims
from astbtd.claims.unpack import Unpacker
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import account
from astbtd.pipeline.crash_pipeline import Announce, CrashPipeline, Hear
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.settings import Settings
from astbtd.store.captures import Captures
from astbtd.store.core_archive import Progress
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store

READERS = "astbtd"
"""The group whose members read the texts."""


@dataclass(frozen=True)
class Components:
    """The store and what works on it."""

    store: Store
    reserve: DiskReserve
    claims: Claims
    extractor: Extractor

    def pipeline(
        self,
        settings: Settings,
        loops: CrashLoops,
        announce: Announce,
        progress: Progress,
        hear: Hear = lambda _: None,
    ) -> CrashPipeline:
        """The stages, with these parts."""
        parts = (self.store, self.claims, self.reserve, self.extractor)
        return CrashPipeline(*parts, loops, settings.cores.action, announce, progress, hear)

    def crash_loops(self, settings: Settings) -> CrashLoops:
        """Nothing known of crash loops yet."""
        return CrashLoops(settings.crash_loop, self.store.incoming / "loops")

    @property
    def captures(self) -> Captures:
        """The captures in the store."""
        return Captures(self.store.root, self.store.group)


def assemble(
    settings: Settings, stopped: Callable[[], None], make_room: Callable[[int], None] = lambda _: None
) -> Components:
    """The parts as `settings` want them; `stopped` raises to interrupt what takes long, `make_room` may free the disk.

    Raises AstbtdError where the user of gdb is missing.
    """
    store = Store(Path(settings.store), readers())
    reserve = DiskReserve(store.root, settings.retention.minimum_free, make_room)
    gdb = account(settings.gdb.user)
    unpacker = Unpacker(settings.unpacking, reserve.check, stopped)
    claims = Claims(store.incoming, gdb.gid if gdb.switched else -1, unpacker)
    extractor = Extractor(settings.gdb, gdb, store.group, settings.extract.symbols, reserve.check, stopped)
    return Components(store, reserve, claims, extractor)


def console(settings: Settings) -> Path:
    """The socket on which Asterisk's console listens."""
    directory = settings.asterisk.run_directory or run_directory(Path(settings.asterisk.configuration))
    return Path(directory) / CONTROL_SOCKET


def readers() -> int:
    """The id of the group that may read the texts; -1, our own, where it does not exist or is not ours to give."""
    if os.geteuid() != 0:
        return -1
    try:
        return grp.getgrnam(READERS).gr_gid
    except KeyError:
        return -1
