"""Create the components that process cores, as configured. The daemon and the `extract` command share this."""

import grp
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from astbtd.asterisk.asterisk_processes import read_run_directory
from astbtd.asterisk.console import CONTROL_SOCKET
from astbtd.claims.claim import Claims
from astbtd.claims.examinations import ExaminationNotes
from astbtd.claims.finder import CoreFinder
from astbtd.claims.finder_results import Capacity
from astbtd.claims.first_sight import FirstSight
from astbtd.claims.private_copy import Unpacker
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import find_sandbox_user
from astbtd.pipeline.crash_pipeline import AnnounceCrash, CollectMetadata, CrashPipeline, KeepObjects
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.object_keeper import ObjectKeeper
from astbtd.pipeline.reextraction import Reextraction
from astbtd.settings import Settings
from astbtd.sources import known_directories
from astbtd.sources.watched_directories import memory_file
from astbtd.store.captures import Captures
from astbtd.store.core_archive import Progress
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store
from astbtd.symbols.obtained_files import ObtainedFiles
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

    def crash_pipeline(
        self,
        settings: Settings,
        loops: CrashLoops,
        announce: AnnounceCrash,
        progress: Progress,
        collect_metadata: CollectMetadata = lambda _: None,
        keep_objects: KeepObjects = lambda *_: None,
    ) -> CrashPipeline:
        """Return a pipeline of these components."""
        from astbtd.pipeline.pbx_state import observe_surroundings  # loads readiness, which --output does not need

        return CrashPipeline(
            self.store,
            self.claims,
            self.reserve,
            self.extractor,
            loops,
            settings.cores.action,
            announce,
            progress,
            collect_metadata,
            partial(observe_surroundings, settings, self.store, self.extractor.user),
            keep_objects,
        )

    def reextraction(self, progress: Progress) -> Reextraction:
        """Return what extracts recorded crashes again."""
        return Reextraction(self.store, self.extractor, self.reserve, progress)

    def object_keeper(self, settings: Settings, progress: Progress) -> ObjectKeeper:
        """Return what keeps objects, without making room for them."""
        reserve = DiskReserve(self.reserve.path, self.reserve.share)
        return ObjectKeeper(self.store, settings.retention.objects.size, reserve, progress)

    def core_finder(self, settings: Settings, queue: Capacity, notes: ExaminationNotes) -> CoreFinder:
        """Return the finder of cores, which asks whether `queue` has room, and notes what it examines."""
        # A new store has none. Otherwise an earlier version has searched these, given as globs.
        searched = () if self.store.is_new else known_directories.read(memory_file(self.store.root), 0.0)
        return CoreFinder(
            self.claims,
            self.store.collected.among,
            settings.asterisk.executables,
            settings.cores.action,
            queue,
            FirstSight(self.store.incoming / "first-sight", searched),
            notes,
        )

    def crash_loops(self, settings: Settings) -> CrashLoops:
        """Return an empty set of crash loops."""
        return CrashLoops(settings.crash_loop, self.store.incoming / "loops")

    @property
    def captures(self) -> Captures:
        """The captures in the store."""
        return Captures(self.store.root, self.store.group)


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


def obtained_files(settings: Settings, components: Components, log: Callable[[str], None]) -> ObtainedFiles:
    """Return the debug files that gdb reads besides those that are installed; `log` writes a warning."""
    user = components.extractor.user
    return ObtainedFiles(
        SymbolDirectories(Path(settings.symbols.directory)),
        user.gid if user.switched else -1,
        settings.symbols.size,
        settings.symbols.keep,
        DiskReserve(Path(settings.symbols.directory), settings.retention.minimum_free).check,
        log,
    )


def console_socket(settings: Settings) -> Path:
    """Return the path of Asterisk's control socket."""
    directory = settings.asterisk.run_directory or read_run_directory(Path(settings.asterisk.configuration))
    return Path(directory) / CONTROL_SOCKET


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
