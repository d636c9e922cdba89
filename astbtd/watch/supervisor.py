"""Supervise the scanners of all directories in which cores can appear.

One scanner, in the thread of the caller, is for local directories. Each remote mount has a scanner with a thread of
its own, since it may hang. All results come out of the generators of `WatchSupervisor`, in the thread of the caller.
"""

import select
import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.asterisk import asterisk_processes
from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreClaimed, CoreFinder, FinderResult
from astbtd.lib import mounts
from astbtd.lib.mounts import Mount, Mounts
from astbtd.lib.quantities import format_local
from astbtd.model.crash import DiscoveredBy
from astbtd.settings import Settings
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.watched_directories import WatchedDirectories, WatchedDirectory
from astbtd.watch.directory_watch import DirectoryWatch, FileWritten, Hint, RescanNeeded
from astbtd.watch.inotify import InotifyWithFallback
from astbtd.watch.result_queue import RemoteCapacity, ResultQueue
from astbtd.watch.scanner import DirectoryScanner

if TYPE_CHECKING:
    from astbtd.watch.remote_scanner import RemoteScanner

_START_TIMEOUT = 5.0  # seconds that the start waits for remote file systems
_STOP_TIMEOUT = 1.0  # seconds that the end waits for them


class WatchSupervisor:
    """Watches all directories. `known_directories` is a file of ours that lists where Asterisk has worked before.

    Events only say where to look; a scan finds what is there. No method waits for a remote file system. The methods
    that return results are generators: they do nothing unless they are iterated.
    """

    def __init__(self, settings: Settings, finder: CoreFinder, known_directories: Path) -> None:
        self._settings = settings
        self._finder = finder
        self._known_directories = known_directories
        self._mounts = Mounts.current(settings.watch.poll)
        self._directories = WatchedDirectories()
        self._inotify = InotifyWithFallback()
        self._local = DirectoryScanner(finder, DirectoryWatch(self._inotify), self.is_local)
        self._remote: dict[Mount, RemoteScanner] = {}
        self._results = ResultQueue()
        self._epoll = select.epoll()
        self._mountinfo = mounts.MOUNTS.open("rb")
        self._epoll.register(self._local.fileno(), select.EPOLLIN)
        self._epoll.register(self._results.fileno(), select.EPOLLIN)
        self._epoll.register(self._mountinfo, select.EPOLLPRI)

    def use_heartbeat(self, heartbeat: Callable[[], None]) -> None:
        """Call `heartbeat` before each access to a local file from now on."""
        self._local.heartbeat = heartbeat

    def fileno(self) -> int:
        """Return a descriptor that is readable when `process_events` has something to do."""
        return self._epoll.fileno()

    def close(self) -> None:
        """End the watches. Threads that hang are left behind; claims that nobody has received are suspended."""
        deadline = time.monotonic() + _STOP_TIMEOUT
        for scanner in self._remote.values():
            scanner.stop(max(0.0, deadline - time.monotonic()))
        for result in self._results.drain():
            if isinstance(result, CoreClaimed):
                self._finder.claims.suspend(result.claim)
        self._local.close()
        self._mountinfo.close()
        self._epoll.close()

    def start(self, *, quiet: bool) -> Iterator[FinderResult]:
        """Add the watches, resume the claims of an earlier process, and scan all directories.

        Wait a few seconds for remote file systems, but not longer. `quiet` is as in `ClaimRecord`.
        """
        self._update_local_directories()
        yield from self._local.start(DiscoveredBy.START, quiet=quiet)
        yield from self._process_early_hints()
        deadline = time.monotonic() + _START_TIMEOUT
        for started in self._sync_remote_scanners(DiscoveredBy.START, quiet=quiet):
            started.wait(max(0.0, deadline - time.monotonic()))
        yield from self._results.drain()

    def update_settings(self, settings: Settings, claims: Claims) -> Iterator[FinderResult]:
        """Continue with new settings, and rescan all directories."""
        self._settings = settings
        executables, action = settings.asterisk.executables, settings.cores.action
        self._local.update_settings(claims, executables, action)
        for scanner in self._remote.values():
            scanner.update_settings(claims, executables, action)
        yield from self.rescan()

    def process_events(self) -> Iterator[FinderResult]:
        """Examine the files that have changed since the last call, and yield what remote scanners have found."""
        yield from self._results.drain()
        if self._mounts != Mounts.current(self._settings.watch.poll):
            self._update_directories()
        directories_changed = True
        while directories_changed or self._local.has_unread_hints:  # new watches bring new hints
            hints = self._local.read_hints()
            yield from self._local.process(hints)
            directories_changed = any(self._affects_directories(hint) for hint in hints)
            if directories_changed:
                self._update_directories()

    def rescan(self) -> Iterator[FinderResult]:
        """Scan all directories, as the safety net for events that were lost."""
        self._inotify.retry_inotify()
        self._update_directories()
        yield from self._local.rescan()
        yield from self._process_early_hints()
        for scanner in self._remote.values():
            if not scanner.unresponsive_since:
                scanner.rescan()

    def recheck_incomplete(self) -> Iterator[FinderResult]:
        """Examine the local cores again that were still being written. Remote scanners do so by themselves."""
        yield from self._local.recheck_incomplete()

    def recheck_postponed(self) -> Iterator[FinderResult]:
        """Scan for the local cores again that were postponed. Remote scanners do so by themselves."""
        yield from self._local.recheck_postponed()
        yield from self._process_early_hints()

    def _process_early_hints(self) -> Iterator[FinderResult]:
        if self._local.has_unread_hints:
            yield from self.process_events()

    @property
    def has_postponed_foreign(self) -> bool:
        """Whether local files of other users than the PBX's wait until some of the others are processed."""
        return self._local.has_postponed_foreign

    @property
    def has_postponed(self) -> bool:
        """Whether there may be cores that were not claimed because there was no capacity."""
        return self._local.has_postponed or any(scanner.state.has_postponed for scanner in self._remote.values())

    @property
    def has_incomplete(self) -> bool:
        """Whether a local core is still being written."""
        return self._local.has_incomplete

    @property
    def has_remote_scanners(self) -> bool:
        """Whether a file system is watched that may stop responding. There is no event for that."""
        return bool(self._remote)

    @property
    def watched(self) -> tuple[str, ...]:
        """The directories in which the next core may appear and that are watched now."""
        remote = (scanner.state.watched for scanner in self._remote.values() if not scanner.unresponsive_since)
        watched = (*self._local.watched, *chain.from_iterable(remote))
        return tuple(directory for directory in watched if directory in self._directories.expected)

    @property
    def asterisks(self) -> frozenset[int]:
        """The pids of Asterisk. Updated when an Asterisk starts, and by each scan."""
        return self._directories.process_ids

    def is_local(self, path: str | None) -> bool:
        """Return whether a directory is scanned by the local scanner, since its file system always responds."""
        return not self._remote_mount(path)

    def unwatched(self) -> tuple[str, ...]:
        """Return sentences about what is not watched, or only by polling."""
        remote = (scanner.state.unwatched for scanner in self._remote.values() if not scanner.unresponsive_since)
        missing = (*self._local.unwatched, *chain.from_iterable(remote))
        configured = self._configured_directories()
        absent = [f"{directory} cannot be watched" for directory in missing if directory in configured]
        unwatched = (*self._directories.unwatched, *self._unresponsive(), *absent)
        return (*(f"not watched: {sentence}" for sentence in unwatched), *self._polled())

    def problems(self) -> tuple[str, ...]:
        """Return sentences about cores that cannot be claimed now."""
        remote = (scanner.state.problems for scanner in self._remote.values())
        return (*self._local.problems, *chain.from_iterable(remote))

    def _polled(self) -> tuple[str, ...]:
        polled = [directory for directory in self.watched if directory in self._inotify.polled]
        why = "polled every two seconds, since the kernel grants no inotify watch (fs.inotify.max_user_watches)"
        return (f"{', '.join(polled)}: {why}",) if polled else ()

    def _unresponsive(self) -> Iterator[str]:
        for mount, scanner in self._remote.items():
            if since := scanner.unresponsive_since:
                for directory in [each.directory for each in scanner.directories] or [mount.point]:
                    yield f"{directory} has not responded since {format_local(since)}"

    def _configured_directories(self) -> tuple[str, ...]:
        watch = self._settings.watch
        return tuple(self._mounts.resolve_links(directory) for directory in (*watch.directories, *watch.poll))

    def _update_directories(self) -> None:
        """Determine the directories again. Watches that are added ask for a scan by themselves."""
        self._update_local_directories()
        self._sync_remote_scanners(DiscoveredBy.SCAN, quiet=False)

    def _update_local_directories(self) -> None:
        self._mounts = Mounts.current(self._settings.watch.poll)
        self._directories = watched_directories.find_current(self._settings, self._known_directories)
        self._finder.identity = self._directories.identity
        for scanner in self._remote.values():
            scanner.update_identity(self._directories.identity)
        searched = [self._directories.describe(path) for path in self._directories.searched if self.is_local(path)]
        others = [*self._directories.run_directories, *self._directories.parents, str(core_pattern.KERNEL_DIRECTORY)]
        self._local.watch(searched, [path for path in others if self.is_local(path)])

    def _sync_remote_scanners(self, found: DiscoveredBy, *, quiet: bool) -> list[threading.Event]:
        """Start and retire remote scanners, so that each mount in use has one.

        Return an event for each scanner that was started, which is set after its first scan.
        """
        needed = self._remote_directories()
        for mount in self._remote.keys() - needed.keys():
            self._remote.pop(mount).retire()
        started = []
        for mount, directories in needed.items():
            if mount in self._remote:
                self._remote[mount].watch(tuple(directories))
            else:
                started.append(self._start_remote_scanner(mount, tuple(directories), found, quiet))
        return started

    def _remote_directories(self) -> dict[Mount, list[WatchedDirectory]]:
        """Return the remote mounts with their directories to scan: none for a mount with nothing but claimed cores."""
        needed: dict[Mount, list[WatchedDirectory]] = {}
        claims = self._finder.claims
        for path in map(claims.directory, claims.ids()):
            if mount := self._remote_mount(path):
                needed.setdefault(mount, [])
        for path in self._directories.searched:
            if mount := self._remote_mount(path):
                needed.setdefault(mount, []).append(self._directories.describe(path))
        return needed

    def _start_remote_scanner(
        self, mount: Mount, directories: tuple[WatchedDirectory, ...], found: DiscoveredBy, quiet: bool
    ) -> threading.Event:
        from astbtd.watch.remote_scanner import RemoteScanner  # imports watchdog, which most machines never need

        finder = self._finder.for_another_thread(RemoteCapacity(self._finder.capacity, self._results))
        scanner = RemoteScanner(mount, finder, lambda path: self._remote_mount(path) == mount, self._results)
        self._remote[mount] = scanner
        scanner.watch(directories)
        return scanner.start(found, quiet=quiet)

    def _remote_mount(self, path: str | None) -> Mount | None:
        return self._mounts.remote_mount(path) if path is not None else None

    def _affects_directories(self, hint: Hint) -> bool:
        """Return whether Asterisk has started, core_pattern was changed, or a directory that it names was created."""
        if hint.directory in self._directories.parents and not isinstance(hint, FileWritten):
            return True
        relevant_names: Collection[str]
        if hint.directory in self._directories.run_directories:
            relevant_names = asterisk_processes.RUN_FILES
        elif hint.directory == str(core_pattern.KERNEL_DIRECTORY):
            relevant_names = core_pattern.SETTINGS
        else:
            return False
        return isinstance(hint, RescanNeeded) or hint.name in relevant_names
