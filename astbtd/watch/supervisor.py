"""Keeps an eye on all places where cores can appear: here, or, where others serve the file system, from outposts."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.asterisk import asterisk_processes
from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreFinder
from astbtd.lib import mounts
from astbtd.lib.mounts import Mount, Mounts
from astbtd.model.crash import DiscoveredBy
from astbtd.settings import Settings
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.spot import WatchedDirectory
from astbtd.sources.watched_directories import WatchedDirectories
from astbtd.watch.directory_watch import DirectoryWatch, FileWritten, Hint, Scan
from astbtd.watch.inotify_with_fallback import InotifyWithFallback
from astbtd.watch.scanner import Deliver, DirectoryScanner

if TYPE_CHECKING:
    from astbtd.watch.remote_scanner import RemoteScanner

_FIRST_ANSWER = 5.0  # seconds that the start waits for file systems that others serve
_LAST_ANSWER = 1.0  # seconds that the end does


class WatchSupervisor:
    """The watches on all places. `memory` is a file of ours that holds the places of earlier Asterisks.

    Events only say where to look; a scan says what is there. `deliver` is called in several threads, and `changed`
    when there is news from an outpost. No method waits for a file system that others serve.
    """

    def __init__(
        self, settings: Settings, search: CoreFinder, memory: Path, deliver: Deliver, changed: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._deliver = deliver
        self._changed = changed
        self._mounts = Mounts.now(settings.watch.poll)
        self._places = WatchedDirectories()
        self._sight = InotifyWithFallback()
        self._here = DirectoryScanner(
            search, DirectoryWatch(self._sight), deliver, lambda directory: not self._server(directory)
        )
        self._outposts: dict[Mount, RemoteScanner] = {}
        self._ready = select.epoll()
        self._mountinfo = mounts.MOUNTS.open("rb")
        self._ready.register(self._here.fileno(), select.EPOLLIN)
        self._ready.register(self._mountinfo, select.EPOLLPRI)

    def fileno(self) -> int:
        """What to wait on for events."""
        return self._ready.fileno()

    def close(self) -> None:
        """Ends the watches; those that hang are left behind."""
        deadline = time.monotonic() + _LAST_ANSWER
        for outpost in self._outposts.values():
            outpost.end(max(0.0, deadline - time.monotonic()))
        self._here.close()
        self._mountinfo.close()
        self._ready.close()

    def begin(self, *, quiet: bool) -> None:
        """Arms the watches, takes up the claims of an earlier run, and looks at all that is there.

        Does not wait long for file systems that others serve.
        """
        self._refresh_here()
        self._here.begin(DiscoveredBy.START, quiet=quiet)
        deadline = time.monotonic() + _FIRST_ANSWER
        for begun in self._man_outposts(DiscoveredBy.START, quiet=quiet):
            begun.wait(max(0.0, deadline - time.monotonic()))

    def use(self, settings: Settings, claims: Claims) -> None:
        """Goes on under changed settings."""
        self._settings = settings

        def change(post: DirectoryScanner) -> None:
            post.use(post.search.under(claims, settings.asterisk.executables, settings.cores.action))

        change(self._here)
        for outpost in self._outposts.values():
            outpost.ask(change)
        self.rescan()

    def look(self) -> None:
        """Follows up what the watches have seen since the last call."""
        if self._mounts != Mounts.now(self._settings.watch.poll):
            self._refresh()
        while any(self._tells_of_new_places(hint) for hint in self._here.look()):
            self._refresh()

    def rescan(self) -> None:
        """Looks everywhere, unasked."""
        self._sight.ask_again()
        self._refresh()
        self._here.rescan()
        for outpost in self._outposts.values():
            if not outpost.silent_since:
                outpost.ask(DirectoryScanner.rescan)

    def look_at_unfinished(self) -> None:
        """Looks again at cores that were being written; outposts do so by themselves."""
        self._here.look_at_unfinished()

    def look_at_postponed(self) -> None:
        """Looks again at what there was no room for; outposts do so by themselves."""
        self._here.look_at_postponed()

    @property
    def has_postponed(self) -> bool:
        """Whether cores wait where they are until there is room for them."""
        return self._here.has_postponed or any(outpost.known.postponed for outpost in self._outposts.values())

    @property
    def has_unfinished(self) -> bool:
        """Whether a core is being written, as far as is known."""
        return self._here.has_unfinished

    @property
    def has_outposts(self) -> bool:
        """Whether there are places that may fall silent, which nothing but time tells."""
        return bool(self._outposts)

    @property
    def watched(self) -> tuple[str, ...]:
        """The places that are watched now and where the next core may appear."""
        known = [outpost.known.watched for outpost in self._outposts.values() if not outpost.silent_since]
        watched = (*self._here.watched, *chain.from_iterable(known))
        return tuple(directory for directory in watched if directory in self._places.expected)

    @property
    def asterisks(self) -> frozenset[int]:
        """The processes that were Asterisk at the last look: after each sign of a start, and each scan."""
        return self._places.asterisks

    def unwatched(self) -> tuple[str, ...]:
        """What is not watched, as sentences for people."""
        known = [outpost.known.absent for outpost in self._outposts.values() if not outpost.silent_since]
        missing = (*self._here.absent, *chain.from_iterable(known))
        absent = [f"{directory} cannot be watched" for directory in missing if directory in self._expected]
        blind = tuple(f"not watched: {what}" for what in (*self._places.unwatched, *self._silent(), *absent))
        return (*blind, *self._slow())

    def problems(self) -> tuple[str, ...]:
        """What went wrong with cores that therefore wait where they are."""
        known = [outpost.known.problems for outpost in self._outposts.values()]
        return (*self._here.problems, *chain.from_iterable(known))

    def _slow(self) -> tuple[str, ...]:
        polled = [directory for directory in self.watched if directory in self._sight.polled]
        why = "looked into every two seconds, as the kernel grants no inotify watch (fs.inotify.max_user_watches)"
        return (f"{', '.join(polled)}: {why}",) if polled else ()

    def _silent(self) -> Iterator[str]:
        for mount, outpost in self._outposts.items():
            if since := outpost.silent_since:
                for directory in [spot.directory for spot in outpost.spots] or [mount.point]:
                    yield f"{directory} does not answer since {since.astimezone():%Y-%m-%d %H:%M:%S}"

    @property
    def _expected(self) -> tuple[str, ...]:
        watch = self._settings.watch
        return tuple(self._mounts.real(directory) for directory in (*watch.directories, *watch.poll))

    def _refresh(self) -> None:
        """Learns the places anew; looks into those that were not watched before."""
        self._refresh_here()
        self._man_outposts(DiscoveredBy.SCAN, quiet=False)

    def _refresh_here(self) -> None:
        self._mounts = Mounts.now(self._settings.watch.poll)
        self._places = watched_directories.current(self._settings, self._memory)
        here = [self._places.spot(directory) for directory in self._places.searched if not self._server(directory)]
        others = [*self._places.starts, *self._places.parents, str(core_pattern.KERNEL)]
        self._here.watch(here, [directory for directory in others if not self._server(directory)])

    def _man_outposts(self, found: DiscoveredBy, *, quiet: bool) -> list[threading.Event]:
        """Sees to it that each server of places, or of cores that are claimed, has its outpost; tells which begin."""
        there: dict[Mount, list[WatchedDirectory]] = {}
        claims = self._here.search.claims
        for directory in map(claims.directory, claims.noted()):
            if mount := self._server(directory):
                there.setdefault(mount, [])
        for directory in self._places.searched:
            if mount := self._server(directory):
                there.setdefault(mount, []).append(self._places.spot(directory))
        for mount in self._outposts.keys() - there.keys():
            self._outposts.pop(mount).retire()
        begun = []
        for mount, spots in there.items():
            if mount in self._outposts:
                self._outposts[mount].watch(tuple(spots))
            else:
                begun.append(self._open_outpost(mount, tuple(spots), found, quiet))
        return begun

    def _open_outpost(
        self, mount: Mount, spots: tuple[WatchedDirectory, ...], found: DiscoveredBy, quiet: bool
    ) -> threading.Event:
        from astbtd.watch.remote_scanner import RemoteScanner  # brings watchdog, which most machines never need

        search = self._here.search.beside()
        outpost = RemoteScanner(mount, search, self._deliver, lambda left: self._server(left) == mount, self._changed)
        self._outposts[mount] = outpost
        outpost.watch(spots)
        return outpost.ask(lambda post: post.begin(found, quiet=quiet))

    def _server(self, directory: str | None) -> Mount | None:
        return self._mounts.served_by_others(directory) if directory is not None else None

    def _tells_of_new_places(self, hint: Hint) -> bool:
        """Asterisk has started, core_pattern was changed, or a directory has appeared that it may lead to."""
        if hint.directory in self._places.parents and not isinstance(hint, FileWritten):
            return True
        if hint.directory in self._places.starts:
            return isinstance(hint, Scan) or hint.name in asterisk_processes.RUN_FILES
        changed = isinstance(hint, Scan) or hint.name in core_pattern.SETTINGS
        return changed and hint.directory == str(core_pattern.KERNEL)
