"""The watch thread: waits for events, examines files and claims cores, however long that takes.

It takes requests from a queue and passes on what it finds. The main thread reads nothing of it but its `state`.
"""

import os
import selectors
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

from astbtd.claims.claim import Claims
from astbtd.claims.finder import FinderResult
from astbtd.errors import Interrupted
from astbtd.lib.event_loop import Timers
from astbtd.settings import Settings
from astbtd.watch.supervisor import WatchSupervisor

_TIME_LIMIT = 120.0  # seconds for one file: a hundred times as long as it may take by processor time
_STOP_TIMEOUT = 5.0  # seconds that `stop` waits for the file that is examined
_FIRST_RECHECK = 1.0  # seconds until an incomplete core is examined again; doubled each time
_MAX_RECHECK = 60.0
_RESPONSE_CHECK = 5.0  # seconds between two checks whether remote file systems still respond


@dataclass(frozen=True)
class Rescan:
    """Scan all directories, as the safety net for events that were lost."""


@dataclass(frozen=True)
class RecheckPostponed:
    """Look again for the cores for which there was no room."""


@dataclass(frozen=True)
class UpdateSettings:
    """Continue with new settings, and scan all directories."""

    settings: Settings
    claims: Claims


Request = Rescan | RecheckPostponed | UpdateSettings


@dataclass(frozen=True)
class WatchState:
    """The state of the thread after its last round. A new object replaces it when it changes.

    `is_started`: the first scan is done. `rescans` and `updates` count the requests of these kinds that were carried
    out. `unwatched` and `problems` are sentences.
    """

    is_started: bool = False
    rescans: int = 0
    updates: int = 0
    watched: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    asterisks: frozenset[int] = frozenset()
    has_postponed: bool = False
    has_postponed_foreign: bool = False


class WatchThread:
    """Runs a supervisor. `handle` is called for each result, before the next file is examined.

    `on_change` is called after each new state, `before_rescan` when no claim is on its way. All are called in this
    thread, and so is `on_started`, after the first scan.
    """

    def __init__(
        self,
        supervisor: WatchSupervisor,
        handle: Callable[[FinderResult], None],
        on_change: Callable[[], None],
        before_rescan: Callable[[], object] = lambda: None,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = WatchState()
        self._supervisor = supervisor
        self._handle = handle
        self._on_change = on_change
        self._before_rescan = before_rescan
        self._on_started = on_started
        self._timers = Timers()
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._eventfd)
        self._rescans = self._updates = 0
        self._is_stopping = False
        self._error: BaseException | None = None
        self._busy_since: float | None = None
        self._thread: threading.Thread | None = None
        supervisor.use_heartbeat(self._heartbeat)

    def start(self, *, quiet: bool) -> None:
        """Start the thread, which begins with a scan of all directories. `quiet` is as in `ClaimRecord`."""
        self._thread = threading.Thread(target=self._run, args=(quiet,), name="watch", daemon=True)
        self._thread.start()

    def request(self, request: Request) -> None:
        """Have a request carried out."""
        self._requests.put(request)
        os.eventfd_write(self._eventfd, 1)

    def stop(self) -> None:
        """End the thread and the watches. A thread that hangs is left behind: the next start finds its claims."""
        self._is_stopping = True
        os.eventfd_write(self._eventfd, 1)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT)
            if self._thread.is_alive():
                return
        self._supervisor.close()

    def raise_error(self) -> None:
        """Raise the error that has ended the thread, if there was one."""
        if self._error is not None:
            raise self._error

    @property
    def is_overdue(self) -> bool:
        """True if the thread has been working on one file for too long."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > _TIME_LIMIT

    def _heartbeat(self) -> None:
        """Note that the thread makes progress. Raise Interrupted if it is to end."""
        if self._is_stopping:
            raise Interrupted("the daemon stops")
        self._busy_since = time.monotonic()

    def _run(self, quiet: bool) -> None:
        try:
            with suppress(Interrupted), selectors.DefaultSelector() as selector:
                selector.register(self._eventfd, selectors.EVENT_READ)
                selector.register(self._supervisor.fileno(), selectors.EVENT_READ)
                self._start(quiet)
                while True:
                    self._run_once()
                    self._busy_since = None
                    selector.select(self._timers.seconds_until_next())
        except BaseException as error:  # the main thread raises it
            self._error = error
        finally:
            self._busy_since = None
            self._on_change()

    def _start(self, quiet: bool) -> None:
        self._heartbeat()
        self._handle_all(self._supervisor.start(quiet=quiet))
        self._on_started()
        self._publish()

    def _run_once(self) -> None:
        self._heartbeat()
        with suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        with suppress(Empty):
            while True:
                self._carry_out(self._requests.get_nowait())
        self._handle_all(self._supervisor.process_events())
        self._timers.run_due()
        self._schedule_recheck(_FIRST_RECHECK)
        # There is no event for a file system that stops responding.
        self._timers.schedule_while(self._supervisor.has_remote_scanners, "remote", _RESPONSE_CHECK, self._publish)
        self._publish()

    def _carry_out(self, request: Request) -> None:
        match request:
            case Rescan():
                self._before_rescan()
                self._handle_all(self._supervisor.rescan())
                self._rescans += 1
            case RecheckPostponed():
                self._handle_all(self._supervisor.recheck_postponed())
            case UpdateSettings(settings, claims):
                self._handle_all(self._supervisor.update_settings(settings, claims))
                self._updates += 1

    def _handle_all(self, results: Iterator[FinderResult]) -> None:
        for result in results:
            self._handle(result)

    def _schedule_recheck(self, delay: float) -> None:
        """Schedule another examination of incomplete cores: there may be no event when the last writer ends."""
        recheck = partial(self._recheck_incomplete, delay)
        self._timers.schedule_while(self._supervisor.has_incomplete, "incomplete", delay, recheck)

    def _recheck_incomplete(self, delay: float) -> None:
        self._handle_all(self._supervisor.recheck_incomplete())
        self._timers.cancel("incomplete")
        self._schedule_recheck(min(delay * 2, _MAX_RECHECK))

    def _publish(self) -> None:
        """Replace the state if it has changed, and report that."""
        supervisor = self._supervisor
        state = WatchState(
            True,
            self._rescans,
            self._updates,
            supervisor.watched,
            supervisor.unwatched(),
            supervisor.problems(),
            supervisor.asterisks,
            supervisor.has_postponed,
            supervisor.has_postponed_foreign,
        )
        if state != self.state:
            self.state = state
            self._on_change()
