"""Create the stages of a core from the components: the pipeline, the finder, and what extracts or keeps again.

`extract --output` needs none of it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from astbtd.asterisk.asterisk_processes import read_run_directory
from astbtd.asterisk.console import CONTROL_SOCKET
from astbtd.claims.examinations import ExaminationNotes
from astbtd.claims.finder import CoreFinder
from astbtd.claims.finder_results import Capacity
from astbtd.claims.first_sight import FirstSight
from astbtd.pipeline.components import Components
from astbtd.pipeline.crash_pipeline import AnnounceCrash, CollectMetadata, CrashPipeline, KeepObjects
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.pipeline.object_keeper import ObjectKeeper
from astbtd.pipeline.pbx_state import observe_surroundings, read_before
from astbtd.pipeline.reextraction import Reextraction
from astbtd.settings import Settings
from astbtd.sources import known_directories
from astbtd.sources.watched_directories import memory_file
from astbtd.store.captures import Captures
from astbtd.store.core_archive import Progress
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.symbols.obtained_files import ObtainedFiles
from astbtd.symbols.symbol_directories import SymbolDirectories


def crash_pipeline(
    parts: Components,
    settings: Settings,
    loops: CrashLoops,
    announce: AnnounceCrash,
    progress: Progress,
    collect_metadata: CollectMetadata = lambda _: None,
    keep_objects: KeepObjects = lambda *_: None,
) -> CrashPipeline:
    """Return a pipeline of these components."""
    return CrashPipeline(
        parts.store,
        parts.claims,
        parts.reserve,
        parts.extractor,
        loops,
        settings.cores.action,
        announce,
        progress,
        collect_metadata,
        partial(read_before, settings, parts.extractor.user),
        partial(observe_surroundings, settings, parts.store),
        keep_objects,
    )


def reextraction(parts: Components, progress: Progress) -> Reextraction:
    """Return what extracts recorded crashes again."""
    return Reextraction(parts.store, parts.extractor, parts.reserve, progress)


def object_keeper(parts: Components, settings: Settings, progress: Progress) -> ObjectKeeper:
    """Return what keeps objects, without making room for them."""
    reserve = DiskReserve(parts.reserve.path, parts.reserve.share)
    return ObjectKeeper(parts.store, settings.retention.objects.size, reserve, progress)


def core_finder(parts: Components, settings: Settings, queue: Capacity, notes: ExaminationNotes) -> CoreFinder:
    """Return the finder of cores, which asks whether `queue` has room, and notes what it examines."""
    # A new store has none. Otherwise an earlier version has searched these, given as globs.
    searched = () if parts.store.is_new else known_directories.read(memory_file(parts.store.root), 0.0)
    return CoreFinder(
        parts.claims,
        parts.store.collected.among,
        settings.asterisk.executables,
        settings.cores.action,
        queue,
        FirstSight(parts.store.incoming / "first-sight", searched),
        notes,
    )


def crash_loops(parts: Components, settings: Settings) -> CrashLoops:
    """Return an empty set of crash loops."""
    return CrashLoops(settings.crash_loop, parts.store.incoming / "loops")


def open_captures(parts: Components) -> Captures:
    """Return the captures in the store."""
    return Captures(parts.store.root, parts.store.group)


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
