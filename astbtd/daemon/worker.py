"""The one worker: takes claimed cores, newest first, through the pipeline while the daemon goes on watching."""

import resource
import threading
import time
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass

from astbtd.claims.claim import Claim
from astbtd.claims.finder import RenamedCore
from astbtd.errors import Interrupted
from astbtd.model.crash import Crash, DiscoveredBy

_MOST_WRITTEN = 1000  # claims that may wait: each takes memory for the names in its core, and two descriptors
_MOST_FOUND = 100
_OTHER_DESCRIPTORS = 200
_LAST_WORDS = 5.0  # seconds that work which is to stop may take for it


@dataclass(frozen=True)
class Work:
    """What the worker does: `process` one claim, `tidy` the store; each may raise AstbtdError, or Parked to stop.

    `follow` records a move, False while its crash is in work. `done` and `failed` hear how it went, in the worker's
    thread; a claim of what was collected before comes to nothing, None.
    """

    process: Callable[[Claim], Crash | None]
    tidy: Callable[[], None]
    follow: Callable[[RenamedCore], bool]
    done: Callable[[Claim, Crash | None], None]
    failed: Callable[[str, Exception], None]


class Worker:
    """A thread with a queue; `changed` hears of every change of its state.

    Claims that could not be processed are set aside until `retry`.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._work: Work | None = None
        self._changed = changed
        self._deadline = 0.0
        self._condition = threading.Condition()
        self._queue: list[Claim] = []
        self._aside: list[Claim] = []
        self._moves: list[RenamedCore] = []
        self._following = False
        self._tidying = False
        self._tidying_first = False
        self._untidy = False
        self._stopping = False
        self._current: Claim | None = None
        self._since: float | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Starts working on the queue; `use` must have said how."""
        self._thread.start()

    def put(self, claim: Claim) -> None:
        """Queues a claim, by crash time."""
        with self._condition:
            insort(self._queue, claim)
            self._condition.notify()

    def follow(self, move: RenamedCore) -> None:
        """Has it recorded where a core went, once its crash is recorded."""
        with self._condition:
            self._moves.append(move)
            self._following = True
            self._condition.notify()

    def tidy(self, *, first: bool = False) -> None:
        """Asks for housekeeping: once the queue is empty, or first, since in a crash loop it never is."""
        with self._condition:
            self._tidying = True
            self._tidying_first = self._tidying_first or first
            self._condition.notify()

    def retry(self) -> None:
        """Does again what could not be done before."""
        with self._condition:
            for claim in self._aside:
                insort(self._queue, claim)
            self._aside.clear()
            self._tidying, self._untidy = self._tidying or self._untidy, False
            self._following = bool(self._moves)
            self._condition.notify()

    def use(self, work: Work, deadline: float) -> None:
        """Does the work this way from the next claim on; one claim may take `deadline` seconds."""
        with self._condition:
            self._work, self._deadline = work, deadline

    def stop(self) -> list[Claim]:
        """Ends the thread, whose current work must raise Parked, and returns the claims not processed.

        Work that hangs, in a file system that does not answer, is left behind: the next start finds its claim.
        """
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(_LAST_WORDS)
        return [*self._queue, *self._aside]

    def stopped(self) -> None:
        """Raises Parked once `stop` was called; for the pipeline to call while it works."""
        if self._stopping:
            raise Interrupted("the daemon stops")

    def goes_on(self) -> None:
        """Does what `stopped` does, and gives the current work its whole time again: it is slow, but does not hang."""
        self.stopped()
        self._since = time.monotonic()

    def others_wait(self) -> bool:
        """Whether there is a claim to go on with after the one in work."""
        return bool(self._queue)

    @property
    def waiting(self) -> int:
        """How many claims wait, those set aside included."""
        return len(self._queue) + len(self._aside)

    def has_room(self, found: DiscoveredBy) -> bool:
        """Whether one more claim may wait: what was just written may be overwritten, what lay there may go on lying."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        written = min(_MOST_WRITTEN, (descriptors - _OTHER_DESCRIPTORS) // 2)
        return self.waiting < (written if found is DiscoveredBy.EVENT else _MOST_FOUND)

    @property
    def is_running_dry(self) -> bool:
        """Whether so few claims wait that it is worth while to look for more."""
        return self.waiting <= _MOST_FOUND // 2

    @property
    def working_on(self) -> str | None:
        """The id of the crash in work."""
        current = self._current
        return current.id if current else None

    @property
    def is_late(self) -> bool:
        """Whether the current work has gone past its deadline."""
        since = self._since
        return since is not None and time.monotonic() - since > self._deadline

    def _run(self) -> None:
        while self._next():
            self._changed()
            self._work_once()
            self._rest()
            self._changed()

    def _next(self) -> bool:
        """Waits for work and takes it; False when the worker is to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._following or self._tidying or self._stopping)
            if self._stopping:
                return False
            self._since = time.monotonic()
            if self._queue and not self._tidying_first and not self._following:
                self._current = self._queue.pop(0)
            return True

    def _rest(self) -> None:
        with self._condition:
            self._current, self._since = None, None

    def _work_once(self) -> None:
        claim, work = self._current, self._work
        assert work is not None
        try:
            if self._following:
                self._follow(work)
            elif claim:
                work.done(claim, work.process(claim))
                self._following = bool(self._moves)
            else:
                self._tidying = self._tidying_first = False
                work.tidy()
        except Interrupted:
            self._set_aside(claim)
        except Exception as error:  # whatever goes wrong with one core, the next one is still collected
            self._set_aside(claim)
            work.failed(claim.note.path if claim else "retention", error)

    def _follow(self, work: Work) -> None:
        with self._condition:
            moves, self._moves, self._following = self._moves, [], False
        unsettled = list(moves)
        try:
            for move in moves:
                if work.follow(move):
                    unsettled.remove(move)
        finally:
            with self._condition:
                self._moves += unsettled

    def _set_aside(self, claim: Claim | None) -> None:
        with self._condition:
            if claim:
                self._aside.append(claim)
            else:
                self._untidy = True
