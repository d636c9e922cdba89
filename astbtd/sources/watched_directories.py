"""Decides which directories can contain cores of Asterisk, and explains which of them cannot be watched.

The working directories of Asterisk are remembered: when its core is complete, the process is gone.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from astbtd.asterisk import asterisk_processes, safe_asterisk
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.lib import files
from astbtd.lib.mounts import Mounts
from astbtd.settings import CollectorSettings, Settings
from astbtd.sources import core_pattern, glob_directories
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.registry import COLLECTORS
from astbtd.sources.core_pattern import CorePattern, Kind

_MAX_REMEMBERED = 16


@dataclass(frozen=True)
class WatchedDirectory:
    """A directory in which cores are looked for.

    The kernel writes cores there (`kernel_writes`), a collector stores them there, or both. `volatile_pattern` is the
    core_pattern if the directory is a private /tmp, which is removed when the service stops: a file whose name matches
    the pattern and that is gone was a core.
    """

    directory: str
    kernel_writes: bool = True
    collector: Collector | None = None
    volatile_pattern: CorePattern | None = None


@dataclass(frozen=True)
class WatchedDirectories:
    """All directories to watch, grouped by purpose.

    `core_directories` are those that the kernel writes cores to. `run_directories` are watched for starts of Asterisk.
    `parents` are those in which a new subdirectory can become one of `core_directories`. `collections` maps the
    directories of collectors to their collector. `unwatched` are sentences for people. `process_ids` are the Asterisk
    processes that were found; they are not compared, because another process in the same directories changes nothing.
    """

    core_directories: tuple[str, ...] = ()
    run_directories: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    collections: Mapping[str, Collector] = field(default_factory=dict)
    pattern: CorePattern = field(default_factory=lambda: core_pattern.parse(""))
    process_ids: frozenset[int] = field(default=frozenset(), compare=False)

    @property
    def searched(self) -> tuple[str, ...]:
        """All directories in which cores are looked for, including those of collectors that are not active."""
        return _unique([*self.core_directories, *self.collections])

    @property
    def expected(self) -> tuple[str, ...]:
        """The directories in which the next core may appear."""
        active = [directory for directory, collector in self.collections.items() if self.pattern.feeds(collector)]
        return _unique([*self.core_directories, *active])

    def describe(self, directory: str) -> WatchedDirectory:
        """Return how one of the `searched` directories has to be searched."""
        is_volatile = asterisk_processes.is_private_tmp(directory)
        return WatchedDirectory(
            directory,
            kernel_writes=directory in self.core_directories,
            collector=self.collections.get(directory),
            volatile_pattern=self.pattern if is_volatile else None,
        )


def find_current(settings: Settings, memory: Path | None = None) -> WatchedDirectories:
    """Return the directories that follow from the settings, the kernel and the running Asterisk processes.

    `memory` is a file in which the directories of earlier Asterisk processes are remembered. They are included, and new
    ones are added to the file.
    """
    return _find(settings, memory, asterisk_processes.running_asterisks(settings.asterisk.executables))


def find_remembered(settings: Settings, memory: Path) -> WatchedDirectories:
    """Return the same without looking for running Asterisk processes."""
    return _find(settings, memory, running=())


def _find(settings: Settings, memory: Path | None, running: Sequence[RunningAsterisk]) -> WatchedDirectories:
    configuration = Path(settings.asterisk.configuration)
    run_directory = settings.asterisk.run_directory or asterisk_processes.read_run_directory(configuration)
    mounts = Mounts.current(settings.watch.poll)
    configured = (*settings.watch.directories, *settings.watch.poll)
    collections = collector_directories(settings.collectors, mounts)
    found = combine(configured, _read_pattern(), running, run_directory, mounts, collections)
    dump_drops = [glob_directories.escape(path) for path in safe_asterisk.find_dump_drops(configuration)]
    found = _add_globs(found, dump_drops, mounts)
    if memory is not None:
        remembered = remember(memory, found.pattern, running)
        found = _add_globs(found, remembered, mounts, skip_symlinks=True)
    return _drop_symlinked(found, mounts)


def collector_directories(settings: CollectorSettings, mounts: Mounts) -> dict[str, Collector]:
    """Return the directories of all collectors, with symbolic links resolved."""
    return {
        mounts.resolve_links(directory): collector
        for collector in COLLECTORS
        for directory in settings.directories(collector)
    }


def split_collected_path(path: str, settings: CollectorSettings) -> tuple[str, str, Collector | None]:
    """Split a resolved path into the directory of a collector, the name below it, and the collector.

    If the file is no collector's, return its own directory, its name and None.
    """
    for directory, collector in collector_directories(settings, Mounts.current()).items():
        name = path.removeprefix(f"{directory}/")
        if name == path:
            continue
        entry = name.partition("/")[0]
        if name in collector.core_files(directory, entry):
            return directory, name, collector
    return *os.path.split(path), None


def combine(
    configured: Sequence[str],
    pattern: CorePattern,
    running: Sequence[RunningAsterisk],
    run_directory: str,
    mounts: Mounts,
    collections: Mapping[str, Collector],
) -> WatchedDirectories:
    """Return the directories that follow from the settings and the running processes, with symbolic links resolved.

    A collector's directory that does not exist is omitted, unless the kernel hands cores to the collector.
    """
    active = [collector for collector in collections.values() if pattern.feeds(collector)]
    unwatched = []
    if pattern.unwatched_reason and not active and not configured:
        unwatched.append(pattern.unwatched_reason)
    hidden = [process for process in running if process.hidden_reason]
    unwatched += [f"Asterisk, pid {process.pid}: {process.hidden_reason}" for process in hidden]
    used = {
        directory: collector
        for directory, collector in collections.items()
        if collector in active or _may_exist(directory, mounts)
    }
    found = WatchedDirectories(
        core_directories=_resolve(configured, mounts),
        run_directories=_resolve([run_directory], mounts),
        unwatched=tuple(unwatched),
        collections=used,
        pattern=pattern,
        process_ids=frozenset(process.pid for process in running),
    )
    return _add_globs(found, list(_core_globs(pattern, running)), mounts)


def _may_exist(directory: str, mounts: Mounts) -> bool:
    """Return False if the directory does not exist. On a remote file system that is not tested: it may block."""
    return mounts.remote_mount(directory) is not None or os.path.isdir(directory)


def remember(memory: Path, pattern: CorePattern, running: Sequence[RunningAsterisk]) -> list[str]:
    """Add the directories of the running processes to the file `memory`; return all in it as globs, newest first."""
    try:
        known = [os.fsdecode(name) for name in memory.read_bytes().split(b"\0") if name]
    except FileNotFoundError:
        known = []
    remembered = list(_unique([*_globs_to_remember(pattern, running), *known]))[:_MAX_REMEMBERED]
    if set(remembered) != set(known):
        content = b"\0".join(os.fsencode(name) for name in remembered)
        with suppress(OSError):  # the next call tries again
            files.replace(memory, content, files.PRIVATE_FILE_MODE)
    return remembered


def _read_pattern() -> CorePattern:
    try:
        return core_pattern.read_current()
    except OSError:
        return core_pattern.parse("")


def _core_globs(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Yield the directories that the kernel writes cores to, as globs.

    The working directories are always included, because core_pattern may change.
    """
    working_directories = [glob_directories.escape(process.cwd) for process in running if process.cwd]
    yield from working_directories
    if pattern.directory is None:
        return
    if pattern.kind is Kind.ABSOLUTE:
        yield pattern.directory
        for process in running:
            # In a service with PrivateTmp=, /tmp is another directory.
            host_path = process.host_path(pattern.directory)
            if host_path:
                yield host_path
    elif pattern.directory != ".":
        for working_directory in working_directories:
            yield os.path.join(working_directory, pattern.directory)


def _globs_to_remember(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Yield the working directories, and globs that will match the private directories after a restart."""
    for directory in _core_globs(pattern, running):
        if directory != pattern.directory:
            yield asterisk_processes.private_tmp_glob(directory)


def _add_globs(
    found: WatchedDirectories, globs: Sequence[str], mounts: Mounts, *, skip_symlinks: bool = False
) -> WatchedDirectories:
    """Add the directories that match the globs.

    With `skip_symlinks`, omit those that a user has replaced by a symbolic link.
    """
    expansions = [glob_directories.expand(os.path.normpath(pattern), mounts) for pattern in globs]
    directories = [directory for expansion in expansions for directory in expansion.directories]
    if skip_symlinks:
        directories = [directory for directory in directories if mounts.resolve_links(directory) == directory]
    parents = [parent for expansion in expansions for parent in expansion.parents]
    unwatched = [
        f"{parent}: not listed, because it is on a remote file system: add its subdirectories to watch.directories"
        for expansion in expansions
        for parent in expansion.remote_parents
    ]
    return replace(
        found,
        core_directories=_resolve([*found.core_directories, *directories], mounts),
        parents=_unique([*found.parents, *parents]),
        unwatched=_unique([*found.unwatched, *unwatched]),
    )


def _drop_symlinked(found: WatchedDirectories, mounts: Mounts) -> WatchedDirectories:
    """Omit directories behind a symbolic link that is not root's: it could lead the daemon anywhere."""
    kept = []
    unwatched = list(found.unwatched)
    for directory in found.core_directories:
        if mounts.contains_symlink(directory):
            unwatched.append(f"{directory}: symbolic link not followed, because it does not belong to root")
        else:
            kept.append(directory)
    return replace(found, core_directories=tuple(kept), unwatched=tuple(unwatched))


def _resolve(directories: Sequence[str], mounts: Mounts) -> tuple[str, ...]:
    return _unique([mounts.resolve_links(directory) for directory in directories])


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names without duplicates, in their order."""
    return tuple(dict.fromkeys(names))
