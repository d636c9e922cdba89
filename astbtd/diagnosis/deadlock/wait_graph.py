"""Builds the wait-for graph of one sample, and decides what several samples mean.

A cycle is a deadlock. All threads were stopped when registers and locks were read, so each thread of a cycle waits,
without a time limit, for one that cannot release its lock. Everything else is at most stuck: a thread is at the same
location in every sample.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.lock_listing import ListedLock, LockListing
from astbtd.backtrace.parser import Backtrace
from astbtd.diagnosis.deadlock import wait_sentences
from astbtd.diagnosis.deadlock.cycles import find_cycles
from astbtd.diagnosis.deadlock.lock_state import (
    MACHINES,
    AwaitedLock,
    SystemCalls,
    describe_activity,
    find_lock_frame,
    find_lock_name,
    find_thread_start,
    read_awaited_lock,
    read_polled_lock,
)
from astbtd.diagnosis.frame_kind import plain_name
from astbtd.lib.quantities import pluralize
from astbtd.model.deadlock_capture import Finding, OwnerState, ThreadState, ThreadStates, Wait

_NO_LISTING = LockListing()
_MAX_HOLDERS = 1000  # of one lock; a listing that is made up may name more, all of which may wait for one another

_Thread = tuple[ThreadState, Sequence[Frame]]


@dataclass(frozen=True)
class WaitEdge:
    """A wait, and what the record does not store: whether it has a time limit, and the exact location of the thread.

    `polled`: the thread runs now and then, to try to lock the lock again.
    """

    wait: Wait
    timed: bool
    location: tuple[object, ...]
    polled: bool = False

    @property
    def blockers(self) -> tuple[int, ...]:
        """The LWPs of the threads that this one cannot continue without; none if its wait has a time limit."""
        if self.timed:
            return ()
        return (self.wait.owner_lwp,) if self.wait.owner_lwp is not None else self.wait.holders


@dataclass(frozen=True)
class WaitSample:
    """All waits of one sample. `readable` is False if the registers of this machine cannot be interpreted.

    `inactive_lwps` are the threads that have not run since the middle of the interval before, None if not measured.
    `consistent`: the listing of locks was read from the same memory, not a moment later. `unexplained` are the waits
    in the listing of threads whose registers show none.
    """

    readable: bool
    edges: tuple[WaitEdge, ...]
    inactive_lwps: frozenset[int] | None = None
    consistent: bool = False
    unexplained: frozenset[ListedLock] = frozenset()

    @property
    def locations(self) -> set[tuple[object, ...]]:
        """The locations of the waiting threads. A thread that ran in between is contended, not stuck: it has none."""
        edges = self.edges
        if self.inactive_lwps is not None:
            edges = tuple(edge for edge in edges if edge.polled or edge.wait.lwp in self.inactive_lwps)
        return {edge.location for edge in edges}


@dataclass(frozen=True)
class WaitAnalysis:
    """What samples mean. `waits` are those of the last sample, `cycle` the LWPs of the first deadlock.

    `summary` is one line; `others` has a sentence for each further cycle or chain.
    """

    finding: Finding
    waits: tuple[Wait, ...]
    cycle: tuple[int, ...] | None
    summary: str
    others: tuple[str, ...] = ()


_UNREADABLE = WaitSample(readable=False, edges=())


def build_sample(
    backtrace: Backtrace,
    states: ThreadStates,
    listing: LockListing = _NO_LISTING,
    not_stopped: Collection[int] = (),
    inactive_lwps: frozenset[int] | None = None,
    *,
    consistent: bool = False,
) -> WaitSample:
    """Return the waits of all threads of one core.

    `not_stopped` are the threads that could not be stopped: the core lacks them. `consistent`: the listing is from the
    same core.
    """
    calls = MACHINES.get(states.machine or "")
    if calls is None or not states.threads:
        return _UNREADABLE
    builder = _SampleBuilder(backtrace, states, listing, frozenset(not_stopped), calls)
    edges = builder.build_edges()
    waiting = {edge.wait.lwp for edge in edges}
    return WaitSample(
        readable=True,
        edges=edges,
        inactive_lwps=inactive_lwps,
        consistent=consistent,
        unexplained=frozenset(lock for lock in listing.awaited if lock.lwp not in waiting),
    )


def analyze_samples(samples: Sequence[WaitSample]) -> WaitAnalysis:
    """Decide what the samples of one process, oldest first, mean."""
    last = samples[-1] if samples else _UNREADABLE
    if not last.readable:
        return WaitAnalysis(
            Finding.UNKNOWN, (), None, "unknown: the registers in this snapshot could not be interpreted"
        )
    edges = _mark_stuck(samples)
    waits = tuple(edge.wait for edge in edges)
    cycles = [cycle for cycle in _find_cycles(edges) if _is_confirmed(cycle, samples)]
    if cycles:
        return _deadlock(waits, cycles)
    stuck = [wait for wait in waits if wait.stuck or wait.owner_state is OwnerState.GONE]
    if stuck:
        return _stuck(waits, stuck)
    unexplained = frozenset.intersection(*(sample.unexplained for sample in samples))
    if unexplained:
        return _unexplained(waits, unexplained)
    return _no_finding(waits, len(samples))


def _deadlock(waits: tuple[Wait, ...], cycles: Sequence[tuple[int, ...]]) -> WaitAnalysis:
    first, *others = (wait_sentences.describe_cycle(cycle, waits) for cycle in cycles)
    return WaitAnalysis(Finding.DEADLOCK, waits, cycles[0], f"deadlock: {first}", tuple(others))


def _stuck(waits: tuple[Wait, ...], stuck: Sequence[Wait]) -> WaitAnalysis:
    first, *others = wait_sentences.describe_chains(stuck, waits)
    return WaitAnalysis(Finding.STUCK, waits, None, f"stuck: {first}", tuple(others))


def _unexplained(waits: tuple[Wait, ...], locks: Collection[ListedLock]) -> WaitAnalysis:
    """The listing shows waits, so that it is not certain that there is no deadlock."""
    listed = sorted(f"LWP {lock.lwp} for {lock.name.lstrip('&')}" for lock in locks)
    threads = pluralize(len(listed), "thread waits for a lock", "threads wait for locks")
    summary = f"unknown: Asterisk's list of locks says that {threads}, which the registers do not show: {listed[0]}"
    return WaitAnalysis(Finding.UNKNOWN, waits, None, summary, tuple(listed[1:]))


def _no_finding(waits: tuple[Wait, ...], samples: int) -> WaitAnalysis:
    if not waits:
        return WaitAnalysis(Finding.NONE, waits, None, "no deadlock: no thread waits for a lock")
    threads = pluralize(len(waits), "thread waits for a lock", "threads wait for locks")
    if samples == 1:
        summary = f"unknown: no cycle, but {threads}; one sample cannot show whether they are stuck"
        return WaitAnalysis(Finding.UNKNOWN, waits, None, summary)
    summary = f"no deadlock: {threads}, but none of them in every sample"
    return WaitAnalysis(Finding.NONE, waits, None, summary)


@dataclass(frozen=True)
class _SampleBuilder:
    """Builds the edges of one sample."""

    backtrace: Backtrace
    states: ThreadStates
    listing: LockListing
    not_stopped: frozenset[int]
    calls: SystemCalls

    def build_edges(self) -> tuple[WaitEdge, ...]:
        frames = {thread.lwp: thread.frames for thread in self.backtrace.threads}
        threads = {state.lwp: (state, frames.get(state.lwp, ())) for state in self.states.threads}
        blocked: dict[int, AwaitedLock] = {}
        polled: dict[int, AwaitedLock] = {}
        for lwp, thread in threads.items():
            if lock := read_awaited_lock(*thread, self.calls):
                blocked[lwp] = lock
            elif lock := read_polled_lock(*thread, self.calls, self.listing):
                polled[lwp] = lock
        locks = blocked | polled
        edges = []
        for lwp, lock in sorted(locks.items()):
            owner_state = self._owner_state(lock, threads, waiting=locks)
            edge = self._build_edge(threads[lwp], lock, owner_state)
            edges.append(replace(edge, polled=lwp in polled))
        return tuple(edges)

    def _build_edge(self, thread: _Thread, lock: AwaitedLock, owner_state: OwnerState) -> WaitEdge:
        state, frames = thread
        frame = find_lock_frame(frames)
        name = self.listing.names.get(lock.address, "").lstrip("&") or find_lock_name(frames) or state.symbol
        holders = self.listing.holders.get(lock.address, ())[:_MAX_HOLDERS] if lock.read_held else ()
        wait = Wait(
            lwp=state.lwp,
            thread_name=find_thread_start(frames),
            function=plain_name(frame.function) if frame and frame.function else None,
            file=frame.file if frame else None,
            line=frame.line if frame else None,
            lock=f"{lock.address:#x}",
            lock_name=name,
            kind=lock.kind,
            owner_lwp=lock.owner,
            owner_state=owner_state,
            holders=holders,
            locked_at=self._locked_at(lock, holders),
        )
        location = (wait.lwp, wait.lock, wait.function, wait.line, state.stack_pointer)
        return WaitEdge(wait, lock.timed, location)

    def _locked_at(self, lock: AwaitedLock, holders: Sequence[int]) -> str | None:
        """Return where the owner, or the first of the readers, locked the lock."""
        for lwp in (lock.owner, *holders):
            held = self.listing.holding(lwp, lock.address) if lwp is not None else None
            if held:
                return f"{held.file}:{held.line} ({held.function})"
        return None

    def _owner_state(self, lock: AwaitedLock, threads: Mapping[int, _Thread], waiting: Collection[int]) -> OwnerState:
        if lock.owner is None:
            return OwnerState.READERS if lock.read_held else OwnerState.UNKNOWN
        if lock.owner in waiting:
            return OwnerState.WAITING
        if lock.owner in threads:
            return describe_activity(*threads[lock.owner], self.calls)
        return OwnerState.UNKNOWN if lock.owner in self.not_stopped else OwnerState.GONE


def _mark_stuck(samples: Sequence[WaitSample]) -> tuple[WaitEdge, ...]:
    """Return the edges of the last sample, with `stuck` set if there are several samples."""
    last = samples[-1]
    if len(samples) == 1:
        return last.edges
    unchanged = set.intersection(*(sample.locations for sample in samples))
    edges = []
    for edge in last.edges:
        wait = replace(edge.wait, stuck=edge.location in unchanged)
        edges.append(replace(edge, wait=wait))
    return tuple(edges)


def _find_cycles(edges: Iterable[WaitEdge]) -> list[tuple[int, ...]]:
    return find_cycles({edge.wait.lwp: edge.blockers for edge in edges})


def _is_confirmed(cycle: tuple[int, ...], samples: Sequence[WaitSample]) -> bool:
    """Return True if a cycle is certain.

    The owner of a lock is in the lock itself. Readers are taken from Asterisk's list of locks: if that was read a
    moment later, a cycle through readers has to be in every sample.
    """
    last = samples[-1]
    members = [edge for edge in last.edges if edge.wait.lwp in cycle]
    if last.consistent or all(edge.wait.owner_lwp is not None for edge in members):
        return True
    if len(samples) == 1:
        return False
    return all(cycle in _find_cycles(sample.edges) for sample in samples)
