"""Decides which directories cores of Asterisk can appear in, and says which of them cannot be watched.

A working directory once seen is remembered: its Asterisk is gone by the time its core is complete.
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
from astbtd.sources import core_pattern
from astbtd.sources.collectors.abrt import Abrt
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.core_pattern import CorePattern, Kind
from astbtd.sources.glob_directories import expand, literal
from astbtd.sources.spot import WatchedDirectory

_MOST_REMEMBERED = 16


@dataclass(frozen=True)
class WatchedDirectories:
    """Directories by what they are watched for; `unwatched` are sentences for people.

    `parents` are those in which a new directory may be one of `cores`; `collected` are other programs' collections.
    `asterisks` are the processes that were seen; others in the same places are no change of the places.
    """

    cores: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    collected: Mapping[str, Collector] = field(default_factory=dict)
    pattern: CorePattern = field(default_factory=lambda: core_pattern.parse(""))
    asterisks: frozenset[int] = field(default=frozenset(), compare=False)

    @property
    def searched(self) -> tuple[str, ...]:
        """All in which cores are looked for: also the collections of programs that are not at work now."""
        return tuple(dict.fromkeys([*self.cores, *self.collected]))

    @property
    def expected(self) -> tuple[str, ...]:
        """Those in which the next core may appear."""
        fed = [directory for directory, collector in self.collected.items() if collector.is_fed_by(self.pattern)]
        return tuple(dict.fromkeys([*self.cores, *fed]))

    def spot(self, directory: str) -> WatchedDirectory:
        """One of `searched` as it is to be searched."""
        fleeting = self.pattern if asterisk_processes.is_private(directory) else None
        return WatchedDirectory(directory, directory in self.cores, self.collected.get(directory), fleeting)


def current(settings: Settings, memory: Path | None = None) -> WatchedDirectories:
    """The places as the settings, the kernel and the running Asterisk name them now.

    `memory` is a file of ours with the directories of earlier Asterisks; they are places too, and new ones are added.
    """
    return _places(settings, memory, asterisk_processes.running(settings.asterisk.executables))


def known(settings: Settings, memory: Path) -> WatchedDirectories:
    """The places that are known without asking which Asterisks run now."""
    return _places(settings, memory, ())


def _places(settings: Settings, memory: Path | None, running: Sequence[RunningAsterisk]) -> WatchedDirectories:
    configuration = Path(settings.asterisk.configuration)
    run_directory = settings.asterisk.run_directory or asterisk_processes.run_directory(configuration)
    mounts = Mounts.now(settings.watch.poll)
    configured = (*settings.watch.directories, *settings.watch.poll)
    collected = collections(settings.collectors, mounts)
    places = combine(configured, _pattern(), running, run_directory, mounts, collected)
    learned = [] if memory is None else remember(memory, places.pattern, running)
    places = _extended(places, [*map(literal, safe_asterisk.dump_drops(configuration))], mounts)
    return _without_links(_extended(places, learned, mounts, by_real_name=True), mounts)


def collections(settings: CollectorSettings, mounts: Mounts) -> dict[str, Collector]:
    """The directories of the collectors, by their real names."""
    kept: tuple[tuple[Collector, tuple[str, ...]], ...] = (
        (SystemdCoredump(), settings.systemd_coredump),
        (Apport(), settings.apport),
        (Abrt(), settings.abrt),
    )
    return {mounts.real(directory): collector for collector, directories in kept for directory in directories}


def collected_file(path: str, settings: CollectorSettings) -> tuple[str, str, Collector | None]:
    """The directory of the collection that a real path is in, its name below that, and whose collection it is.

    None for a file in no collection: the directory is then its own.
    """
    for directory, collector in collections(settings, Mounts.now()).items():
        name = path.removeprefix(f"{directory}/")
        if name != path and name in collector.cores(directory, name.partition("/")[0]):
            return directory, name, collector
    return *os.path.split(path), None


def combine(
    configured: Sequence[str],
    pattern: CorePattern,
    running: Sequence[RunningAsterisk],
    run_directory: str,
    mounts: Mounts,
    collected: Mapping[str, Collector],
) -> WatchedDirectories:
    """The places that follow from what is configured and what runs; directories by their real names, each once.

    A collection that is not there is no place unless the kernel hands cores to its collector.
    """
    fed = [collector for collector in collected.values() if collector.is_fed_by(pattern)]
    known = fed or configured
    unwatched = [*([pattern.unwatched] if pattern.unwatched and not known else [])]
    places = WatchedDirectories(
        cores=_real(configured, mounts),
        starts=_real([run_directory], mounts),
        unwatched=(*unwatched, *(f"Asterisk, pid {each.pid}: {each.hidden}" for each in running if each.hidden)),
        collected={
            directory: collector
            for directory, collector in collected.items()
            if collector in fed or mounts.served_by_others(directory) or os.path.isdir(directory)
        },
        pattern=pattern,
        asterisks=frozenset(each.pid for each in running),
    )
    return _extended(places, list(_dumped_into(pattern, running)), mounts)


def remember(memory: Path, pattern: CorePattern, running: Sequence[RunningAsterisk]) -> list[str]:
    """The places, as globs, in which Asterisk has worked, the newest first, those of `running` added to them."""
    try:
        known = [os.fsdecode(name) for name in memory.read_bytes().split(b"\0") if name]
    except FileNotFoundError:
        known = []
    learned = list(dict.fromkeys([*_learned(pattern, running), *known]))[:_MOST_REMEMBERED]
    if set(learned) != set(known):
        with suppress(OSError):  # they are remembered the next time
            files.replace(memory, b"\0".join(map(os.fsencode, learned)), files.PRIVATE_FILE_MODE)
    return learned


def _pattern() -> CorePattern:
    try:
        return core_pattern.current()
    except OSError:
        return core_pattern.parse("")


def _dumped_into(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """Where the kernel writes the cores, as globs; working directories always, since core_pattern may change."""
    yield from (literal(each.cwd) for each in running if each.cwd)
    if pattern.kind is Kind.ABSOLUTE and pattern.directory:
        yield pattern.directory
        yield from filter(None, (each.outside(pattern.directory) for each in running))
    elif pattern.kind is Kind.RELATIVE and pattern.directory not in (None, "."):
        yield from (os.path.join(literal(each.cwd), pattern.directory) for each in running if each.cwd)


def _learned(pattern: CorePattern, running: Sequence[RunningAsterisk]) -> Iterator[str]:
    """What is worth remembering: where Asterisk worked, and where its private directories will be next time."""
    for place in _dumped_into(pattern, running):
        if place != pattern.directory:
            yield asterisk_processes.next_time(place)


def _extended(
    places: WatchedDirectories, globs: Sequence[str], mounts: Mounts, *, by_real_name: bool = False
) -> WatchedDirectories:
    """With the directories that match; `by_real_name` without those that somebody put a link in the place of."""
    found = [expand(os.path.normpath(each), mounts) for each in globs]
    matching = [directory for each in found for directory in each.directories]
    directories = [each for each in matching if not by_real_name or mounts.real(each) == each]
    parents = [parent for each in found for parent in each.parents]
    unseen = [
        f"{directory}: which directories are in it only those know who serve it; name them in watch.directories"
        for each in found
        for directory in each.unseen
    ]
    return replace(
        places,
        cores=_real([*places.cores, *directories], mounts),
        parents=tuple(dict.fromkeys([*places.parents, *parents])),
        unwatched=tuple(dict.fromkeys([*places.unwatched, *unseen])),
    )


def _without_links(places: WatchedDirectories, mounts: Mounts) -> WatchedDirectories:
    """Without the directories that somebody's link leads to, who may have put it there to have us work elsewhere."""
    astray = [directory for directory in places.cores if mounts.leads_through_a_link(directory)]
    return replace(
        places,
        cores=tuple(directory for directory in places.cores if directory not in astray),
        unwatched=(*places.unwatched, *(f"{each}: the link there is not root's, and not followed" for each in astray)),
    )


def _real(directories: Sequence[str], mounts: Mounts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mounts.real(directory) for directory in directories))
