"""Looks after the directories on one file system that others serve, in a thread of its own, since it may hang.

A core found here is fetched: claimed where it is, then copied into the store, so that nothing else waits for this file
system. Once it answers again, all goes on from where it hung.
"""

import os
import selectors
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue

from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreFinder
from astbtd.lib.mounts import Mount
from astbtd.sources.spot import WatchedDirectory
from astbtd.watch.directory_watch import DirectoryWatch
from astbtd.watch.polling import Polling
from astbtd.watch.scanner import Deliver, DirectoryScanner

_LOOK_EVERY = 2.0  # seconds, at cores that were being written and for directories that came or went
_PATIENCE = 10.0  # seconds after which a file system that has not answered is said not to

Job = Callable[[DirectoryScanner], None]


@dataclass(frozen=True)
class ScannerState:
    """What is known of the directories of an outpost."""

    watched: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    postponed: bool = False


class RemoteScanner:
    """A post with a thread; no method waits for the file system. `changed` hears when there is news in `known`."""

    def __init__(
        self,
        mount: Mount,
        search: CoreFinder,
        deliver: Deliver,
        ours: Callable[[str | None], bool],
        changed: Callable[[], None],
    ) -> None:
        self.known = ScannerState()
        self.spots: tuple[WatchedDirectory, ...] = ()
        self._deliver = deliver
        self._changed = changed
        self._post = DirectoryScanner(search, DirectoryWatch(Polling()), self._fetch, ours, self._alive)
        self._jobs: SimpleQueue[tuple[Job, threading.Event]] = SimpleQueue()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._wakeup)
        self._waiting_since: tuple[float, float] | None = None  # by the monotonic clock, and by the other
        self._failures: list[str] = []
        self._delivered = 0
        self._retired = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"outpost {mount.point}", daemon=True)
        self._thread.start()

    def watch(self, spots: tuple[WatchedDirectory, ...]) -> None:
        """Looks for cores in these spots from now on."""
        if spots != self.spots:
            self.spots = spots
            self.ask(lambda post: post.watch(spots))

    def ask(self, job: Job) -> threading.Event:
        """Has the post do something, after all that it was asked before; the event is set once that is known."""
        done = threading.Event()
        self._jobs.put((job, done))
        os.eventfd_write(self._wakeup, 1)
        return done

    def retire(self) -> None:
        """Looks no more, and ends when the claims that it delivered are finished."""
        self._retired = True
        self.ask(lambda post: post.watch(()))

    def end(self, seconds: float) -> None:
        """Ends; returns when that is done, or after so long."""
        self._ended = True
        os.eventfd_write(self._wakeup, 1)
        self._thread.join(seconds)

    @property
    def silent_since(self) -> datetime | None:
        """Since when the file system has not answered; None where it has lately, or was not asked."""
        waiting = self._waiting_since
        if waiting is None or time.monotonic() - waiting[0] <= _PATIENCE:
            return None
        return datetime.fromtimestamp(waiting[1], UTC)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            selector.register(self._post.fileno(), selectors.EVENT_READ)
            while not self._ended and (self._delivered or not self._retired):
                selector.select(_LOOK_EVERY)
                self._go_round()
        self._post.close()

    def _go_round(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        self._failures = []
        finished = []
        with suppress(Empty):
            while True:
                job, done = self._jobs.get_nowait()
                self._attempt(job)
                finished.append(done)
        self._attempt(_look)
        self._waiting_since = None
        self._tell()
        for done in finished:
            done.set()

    def _attempt(self, job: Job) -> None:
        self._alive()
        try:
            job(self._post)
        except Exception as error:  # whatever goes wrong with one file, the next one is still collected
            self._failures.append(f"{self._thread.name}: {type(error).__name__}: {error}")

    def _tell(self) -> None:
        problems = (*self._post.problems, *self._failures)
        known = ScannerState(self._post.watched, self._post.absent, problems, self._post.has_postponed)
        if known != self.known:
            self.known = known
            self._changed()

    def _alive(self) -> None:
        """Is called before anything that may hang, and after whatever did not."""
        self._waiting_since = time.monotonic(), time.time()

    def _fetch(self, claim: Claim) -> None:
        claims = self._post.search.claims
        try:
            fetched = claims.fetched(claim, self._alive)
        except BaseException:
            claims.park(claim)
            raise
        self._delivered += 1
        self._deliver(replace(fetched, there=partial(self._finish, fetched)))

    def _finish(self, claim: Claim, job: Callable[[], None]) -> None:
        """Removes the core's names in this thread; where that fails, the next rescan finds the claim."""

        def carry_out(post: DirectoryScanner) -> None:
            self._delivered -= 1
            try:
                job()
            except BaseException:
                post.search.claims.park(claim)
                raise

        self.ask(carry_out)


def _look(post: DirectoryScanner) -> None:
    post.rearm()
    post.look()
    if post.has_unfinished:
        post.look_at_unfinished()
    post.look_at_postponed()
