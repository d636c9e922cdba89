"""Decides which directories can contain cores of Asterisk, and explains which of them cannot be watched.

The working directories of Asterisk are remembered: when its core is complete, the process is gone.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from astbtd.asterisk import asterisk_processes, safe_asterisk
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.asterisk.identity import PbxIdentity, find_identity
from astbtd.lib.mounts import Mounts
from astbtd.settings import CollectorSettings, Settings
from astbtd.sources import core_pattern, glob_directories, known_directories
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.registry import COLLECTORS
from astbtd.sources.core_pattern import CorePattern, Kind
from astbtd.sources.dump_globs import core_globs, globs_to_remember

_DIRECTORIES_FILE = "directories"
_USERS_FILE = "pbx-users"
"""The file with the known users of the PBX, next to that with its directories."""


@dataclass(frozen=True)
class WatchedDirectory:
    """A directory in which cores are looked for.

    The kernel writes cores there (`kernel_writes`), a collector stores them there, or both. `volatile_pattern` is the
    core_pattern if the directory is a private /tmp, which is removed when the service stops: a file whose name matches
    the pattern and that is gone was a core. `is_learned`: nobody has named the directory, a process of the PBX uses it.
    `is_working_directory`: the PBX works there.
    """

    directory: str
    kernel_writes: bool = True
    collector: Collector | None = None
    volatile_pattern: CorePattern | None = None
    is_learned: bool = False
    is_working_directory: bool = False


@dataclass(frozen=True)
class WatchedDirectories:
    """All directories to watch, grouped by purpose.

    `core_directories` are those that the kernel writes cores to. `run_directories` are watched for starts of Asterisk.
    `parents` are those in which a new subdirectory can become one of `core_directories`. `collections` maps the
    directories of collectors to their collector. `unwatched` are sentences for people. `working_directories` are those
    of the PBX, now and before. `learned_directories` are those that neither the configuration nor core_pattern names.
    `process_ids` are the processes of the PBX, `identity` decides what is one; they are not compared, because another
    process in the same directories changes nothing.
    """

    core_directories: tuple[str, ...] = ()
    run_directories: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    collections: Mapping[str, Collector] = field(default_factory=dict)
    pattern: CorePattern = field(default_factory=lambda: core_pattern.parse(""))
    working_directories: frozenset[str] = frozenset()
    learned_directories: frozenset[str] = frozenset()
    process_ids: frozenset[int] = field(default=frozenset(), compare=False)
    identity: PbxIdentity = field(default_factory=PbxIdentity, compare=False)

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
            is_learned=directory in self.learned_directories,
            is_working_directory=directory in self.working_directories,
        )


def find_current(settings: Settings, memory: Path | None = None) -> WatchedDirectories:
    """Return the directories that follow from the settings, the kernel and the running Asterisk processes.

    Only processes of the PBX count. `memory` is a file in which the directories of earlier ones are remembered. They
    are included, and new ones are added to the file; the known users of the PBX are in a file next to it.
    """
    identity = find_identity(settings.asterisk, _users_file(memory))
    return _find(settings, memory, identity.running_asterisks(settings.asterisk.executables), identity)


def find_remembered(settings: Settings, memory: Path) -> WatchedDirectories:
    """Return the same without looking for running Asterisk processes."""
    return _find(settings, memory, running=(), identity=find_identity(settings.asterisk, _users_file(memory)))


def memory_file(store: Path) -> Path:
    """Return the file of a store in which the directories of the PBX are remembered."""
    return store / "incoming" / _DIRECTORIES_FILE


def find_remembered_identity(settings: Settings) -> PbxIdentity:
    """Return how to recognize the PBX, by the settings and by its users that the store remembers."""
    return find_identity(settings.asterisk, _users_file(memory_file(Path(settings.store))))


def _users_file(memory: Path | None) -> Path | None:
    """Return the file with the known users of the PBX that belongs to a file with its directories."""
    return memory.with_name(_USERS_FILE) if memory else None


def _find(
    settings: Settings, memory: Path | None, running: Sequence[RunningAsterisk], identity: PbxIdentity
) -> WatchedDirectories:
    configuration = Path(settings.asterisk.configuration)
    run_directory = settings.asterisk.run_directory or asterisk_processes.read_run_directory(configuration)
    mounts = Mounts.current(settings.watch.poll)
    configured = (*settings.watch.directories, *settings.watch.poll)
    collections = collector_directories(settings.collectors, mounts)
    found = combine(configured, _read_pattern(), running, run_directory, mounts, collections)
    found = replace(found, identity=identity, working_directories=frozenset(_working_directories(running, mounts)))
    dump_drops = safe_asterisk.find_dump_drops(configuration, identity.is_known_process)
    found = _add_globs(found, [glob_directories.escape(path) for path in dump_drops], mounts)
    if memory is not None:
        found = _add_remembered(found, memory, settings.retention.cores.age, running, mounts)
    named = {*_named_directories(configured, found.pattern, mounts), *collections}
    learned = {each for each in found.core_directories if not asterisk_processes.is_private_tmp(each)} - named
    return _drop_symlinked(replace(found, learned_directories=frozenset(learned)), mounts)


def _working_directories(running: Sequence[RunningAsterisk], mounts: Mounts) -> tuple[str, ...]:
    return _resolve([process.cwd for process in running if process.cwd], mounts)


def _add_remembered(
    found: WatchedDirectories,
    memory: Path,
    keep: float | None,
    running: Sequence[RunningAsterisk],
    mounts: Mounts,
) -> WatchedDirectories:
    """Add the directories of earlier processes, as long as cores are kept (`keep`, in seconds)."""
    used = globs_to_remember(found.pattern, running)
    remembered = known_directories.remember(memory, used, time.time(), keep)
    known = _add_globs(replace(found, core_directories=()), remembered, mounts, skip_symlinks=True)
    return replace(
        known,
        core_directories=_unique([*found.core_directories, *known.core_directories]),
        working_directories=found.working_directories | set(known.core_directories),
    )


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
    used = {
        directory: collector
        for directory, collector in collections.items()
        if collector in active or _may_exist(directory, mounts)
    }
    can_find_cores = bool(active or configured)
    found = WatchedDirectories(
        core_directories=_resolve(configured, mounts),
        run_directories=_resolve([run_directory], mounts),
        unwatched=tuple(_explain_unwatched(pattern, running, can_find_cores=can_find_cores)),
        collections=used,
        pattern=pattern,
        process_ids=frozenset(process.pid for process in running),
    )
    return _add_globs(found, list(core_globs(pattern, running)), mounts)


def _named_directories(configured: Sequence[str], pattern: CorePattern, mounts: Mounts) -> Iterator[str]:
    """Yield the directories that root has named: in the configuration, and in an absolute core_pattern."""
    yield from _resolve(configured, mounts)
    if pattern.kind is Kind.ABSOLUTE and pattern.directory is not None:
        yield from _resolve(glob_directories.expand(os.path.normpath(pattern.directory), mounts).directories, mounts)


def _explain_unwatched(
    pattern: CorePattern, running: Sequence[RunningAsterisk], *, can_find_cores: bool
) -> Iterator[str]:
    """Yield sentences about what cannot be watched.

    A core_pattern with a program is no problem if some directory is known in which that program may store the cores.
    """
    if pattern.unwatched_reason and not can_find_cores:
        yield pattern.unwatched_reason
    for process in running:
        if process.hidden_reason:
            yield f"Asterisk, pid {process.pid}: {process.hidden_reason}"


def _may_exist(directory: str, mounts: Mounts) -> bool:
    """Return False if the directory does not exist. On a remote file system that is not tested: it may block."""
    return mounts.remote_mount(directory) is not None or os.path.isdir(directory)


def _read_pattern() -> CorePattern:
    try:
        return core_pattern.read_current()
    except OSError:
        return core_pattern.parse("")


def _add_globs(
    found: WatchedDirectories, globs: Sequence[str], mounts: Mounts, *, skip_symlinks: bool = False
) -> WatchedDirectories:
    """Add the directories that match the globs.

    With `skip_symlinks`, omit those that a user has replaced by a symbolic link.
    """
    expanded = glob_directories.expand_all([os.path.normpath(pattern) for pattern in globs], mounts)
    directories = expanded.directories
    if skip_symlinks:
        directories = tuple(path for path in directories if mounts.resolve_links(path) == path)
    unwatched = [
        f"{parent}: not listed, because it is on a remote file system: add its subdirectories to watch.directories"
        for parent in expanded.remote_parents
    ]
    return replace(
        found,
        core_directories=_resolve([*found.core_directories, *directories], mounts),
        parents=_unique([*found.parents, *expanded.parents]),
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
