"""Scan the directories of one remote mount in a thread of its own, since any access to it may hang.

A claimed core is copied to the store before it is reported, so that nothing else has to wait for this file system.
When a hanging file system answers again, the thread continues where it hung.
"""

import os
import selectors
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.claim import Claim, Claims
from astbtd.claims.finder import CoreClaimed, CoreFinder, FinderResult
from astbtd.lib.mounts import Mount
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory
from astbtd.watch.directory_watch import DirectoryWatch
from astbtd.watch.polling import Polling
from astbtd.watch.result_queue import ResultQueue
from astbtd.watch.scanner import DirectoryScanner, Problems

_INTERVAL = 2.0  # seconds between two checks for incomplete cores and for directories that came or went
_TIMEOUT = 10.0  # seconds without an answer after which a file system is reported as not responding


@dataclass(frozen=True)
class WatchDirectories:
    """Look for cores in these directories from now on."""

    directories: tuple[WatchedDirectory, ...]


@dataclass(frozen=True)
class StartScanning:
    """Resume the claims of an earlier process, and scan all directories."""

    found: DiscoveredBy
    quiet: bool


@dataclass(frozen=True)
class Rescan:
    """Do what `StartScanning` does, as the safety net for events that were lost."""


@dataclass(frozen=True)
class UpdateSettings:
    """Judge files by new settings from now on."""

    claims: Claims
    executables: Collection[str]
    action: CoreAction


@dataclass(frozen=True)
class FinishClaim:
    """Release a claim, and remove the names of its core on the remote mount."""

    claim: Claim
    remove_original: bool


Request = WatchDirectories | StartScanning | Rescan | UpdateSettings | FinishClaim


@dataclass(frozen=True)
class ScannerState:
    """The state of a remote scanner after its last round. A new object replaces it when it changes."""

    watched: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    has_postponed: bool = False


class RemoteScanner:
    """A directory scanner with a thread. No public method waits for the file system, except `stop`.

    Results go to `results`, which is woken as well when `state` changes. `is_ours` is as for `DirectoryScanner`.
    """

    def __init__(
        self, mount: Mount, finder: CoreFinder, is_ours: Callable[[str | None], bool], results: ResultQueue
    ) -> None:
        self.state = ScannerState()
        self.directories: tuple[WatchedDirectory, ...] = ()
        self._finder = finder
        self._results = results
        self._scanner = DirectoryScanner(finder, DirectoryWatch(Polling()), is_ours, self._heartbeat)
        self._requests: SimpleQueue[tuple[Request, threading.Event]] = SimpleQueue()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._eventfd)
        self._waiting_since: tuple[float, float] | None = None  # monotonic time, and seconds since 1970
        self._copy_problems = Problems()
        self._failures: dict[str, str] = {}  # unexpected errors by what was tried
        self._unfinished_claims = 0
        self._is_retired = False
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=f"remote scanner {mount.point}", daemon=True)
        self._thread.start()

    def watch(self, directories: tuple[WatchedDirectory, ...]) -> None:
        """Look for cores in these directories from now on."""
        if directories != self.directories:
            self.directories = directories
            self._request(WatchDirectories(directories))

    def start(self, found: DiscoveredBy, *, quiet: bool) -> threading.Event:
        """Request the first scan. The event returned is set when it is done and `state` was updated."""
        return self._request(StartScanning(found, quiet))

    def rescan(self) -> None:
        """Request another scan of all directories."""
        self._request(Rescan())

    def update_settings(self, claims: Claims, executables: Collection[str], action: CoreAction) -> None:
        """Request that files are judged by new settings."""
        self._request(UpdateSettings(claims, executables, action))

    def update_identity(self, identity: PbxIdentity) -> None:
        """Judge cores by this identity of the PBX from now on."""
        self._finder.identity = identity

    def request_finish(self, claim: Claim, *, remove_original: bool) -> None:
        """Release a claim in the thread of this scanner, as its `ClaimOwner`."""
        self._request(FinishClaim(claim, remove_original))

    def retire(self) -> None:
        """Look for no more cores. The thread ends when all claims that it reported are finished."""
        self._is_retired = True
        self._request(WatchDirectories(()))

    def stop(self, timeout: float) -> None:
        """End the thread. Return when it has ended, or after `timeout` seconds."""
        self._is_stopped = True
        os.eventfd_write(self._eventfd, 1)
        self._thread.join(timeout)

    @property
    def unresponsive_since(self) -> datetime | None:
        """Since when the file system has not answered. None if it answered recently, or was not accessed."""
        waiting_since = self._waiting_since
        if waiting_since is None or time.monotonic() - waiting_since[0] <= _TIMEOUT:
            return None
        return datetime.fromtimestamp(waiting_since[1], UTC)

    def _request(self, request: Request) -> threading.Event:
        """Queue a request. The event returned is set when it was carried out and `state` was updated."""
        done = threading.Event()
        self._requests.put((request, done))
        os.eventfd_write(self._eventfd, 1)
        return done

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._eventfd, selectors.EVENT_READ)
            selector.register(self._scanner.fileno(), selectors.EVENT_READ)
            while not self._is_stopped and (self._unfinished_claims or not self._is_retired):
                selector.select(_INTERVAL)
                self._run_once()
        self._scanner.close()

    def _run_once(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        completed = []
        with suppress(Empty):
            while True:
                request, done = self._requests.get_nowait()
                self._report(type(request).__name__, self._carry_out(request))
                completed.append(done)
        self._report("events", self._process_events())
        self._waiting_since = None
        self._update_state()
        for done in completed:
            done.set()

    def _carry_out(self, request: Request) -> Iterator[FinderResult]:
        match request:
            case WatchDirectories(directories):
                self._scanner.watch(directories)
            case StartScanning(found, quiet):
                yield from self._scanner.start(found, quiet=quiet)
            case Rescan():
                self._failures.clear()  # it retries everything
                yield from self._scanner.rescan()
            case UpdateSettings(claims, executables, action):
                self._scanner.update_settings(claims, executables, action)
            case FinishClaim(claim, remove_original):
                self._finish(claim, remove_original)

    def _process_events(self) -> Iterator[FinderResult]:
        self._scanner.renew_watches()
        yield from self._scanner.process(self._scanner.read_hints())
        yield from self._scanner.recheck_incomplete()
        yield from self._scanner.recheck_postponed()

    def _report(self, operation: str, results: Iterator[FinderResult]) -> None:
        """Pass results on, one by one. Record unexpected errors, so that the next core is still collected."""
        self._heartbeat()
        try:
            for result in results:
                if isinstance(result, CoreClaimed):
                    self._report_claim(result.claim)
                else:
                    self._results.put(result)
        except Exception as error:
            self._failures[operation] = f"{self._thread.name}: {type(error).__name__}: {error}"
        else:
            self._failures.pop(operation, None)

    def _report_claim(self, claim: Claim) -> None:
        """Copy a claimed core to the store and report the claim. If that fails, a later rescan resumes the claim."""
        claims = self._finder.claims
        with self._copy_problems.recorded(claim.id, claim.record.path):
            try:
                copied = claims.copy_to_store(claim, self._heartbeat)
            except BaseException:
                claims.suspend(claim)
                raise
            self._unfinished_claims += 1
            self._results.put(CoreClaimed(replace(copied, owner=self)))

    def _finish(self, claim: Claim, remove_original: bool) -> None:
        """Release a claim. If that fails, the next rescan resumes it."""
        self._unfinished_claims -= 1
        claims = self._finder.claims
        try:
            claims.finish_here(claim, remove_original=remove_original)
        except BaseException:
            claims.suspend(claim)
            raise

    def _update_state(self) -> None:
        scanner = self._scanner
        problems = (*scanner.problems, *self._copy_problems, *self._failures.values())
        state = ScannerState(scanner.watched, scanner.unwatched, problems, scanner.has_postponed)
        if state != self.state:
            self.state = state
            self._results.wake()

    def _heartbeat(self) -> None:
        """Note that the thread is alive: called before each operation that may hang."""
        self._waiting_since = time.monotonic(), time.time()
