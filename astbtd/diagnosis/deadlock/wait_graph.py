"""Who waits for whom: the wait-for graph of one sample, and what several samples come to.

A cycle is a deadlock: every thread was stopped when registers and locks were read, so that each thread of a cycle
waits, without end, for one that cannot let go. Everything else is at most stuck: at the same place in every sample.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.lock_listing import LockListing
from astbtd.backtrace.parser import Backtrace
from astbtd.diagnosis.deadlock import wait_sentences as told
from astbtd.diagnosis.deadlock.lock_state import MACHINES, VERIFIED_MACHINE, AwaitedLock, SystemCalls, awaited, doing
from astbtd.diagnosis.frame_kind import Role, plain_name, role
from astbtd.lib.quantities import counted
from astbtd.model.deadlock_capture import Finding, OwnerState, ThreadState, ThreadStates, Wait

_LOCK_NAME = re.compile(r'\b(?:mutex_name|name|var)=0x[0-9a-f]+(?: <[^>]*>)? "([^"\\]{1,200})"')
_NO_LISTING = LockListing()


@dataclass(frozen=True)
class WaitEdge:
    """A wait, and what of it is no record's: whether it ends by itself, and where exactly the thread is."""

    wait: Wait
    timed: bool
    place: tuple[object, ...]

    @property
    def awaits(self) -> tuple[int, ...]:
        """The LWPs that it cannot go on without; none where it goes on in time by itself."""
        if self.timed:
            return ()
        return (self.wait.owner_lwp,) if self.wait.owner_lwp is not None else self.wait.holders


@dataclass(frozen=True)
class WaitSample:
    """All waits of one sample. `known` is False where this machine's registers cannot be read.

    `rested` are the threads that had not run for a while, None where that was not looked at.
    """

    known: bool
    verified: bool
    waiting: tuple[WaitEdge, ...]
    rested: frozenset[int] | None = None

    @property
    def places(self) -> set[tuple[object, ...]]:
        """Where threads sat; contention that lets a thread run in between leaves it at no place."""
        return {one.place for one in self.waiting if self.rested is None or one.wait.lwp in self.rested}


@dataclass(frozen=True)
class WaitAnalysis:
    """What samples come to; `waits` are the last sample's, `cycle` the first deadlock's LWPs, `summary` one line."""

    finding: Finding
    waits: tuple[Wait, ...]
    cycle: tuple[int, ...] | None
    summary: str
    others: tuple[str, ...] = ()


def sight(
    backtrace: Backtrace,
    states: ThreadStates,
    listing: LockListing = _NO_LISTING,
    unseen: Collection[int] = (),
    rested: frozenset[int] | None = None,
) -> WaitSample:
    """The waits of all threads of one core. `unseen` are threads that exist and are not in the core."""
    calls = MACHINES.get(states.machine or "")
    if calls is None or not states.threads:
        return WaitSample(False, False, ())
    view = _SampleBuilder(backtrace, states, listing, frozenset(unseen), calls)
    return WaitSample(True, states.machine == VERIFIED_MACHINE, view.waiting(), rested)


def conclude(sightings: Sequence[WaitSample]) -> WaitAnalysis:
    """What the samples of one process, oldest first, come to."""
    last = sightings[-1] if sightings else WaitSample(False, False, ())
    if not last.known:
        return WaitAnalysis(Finding.UNKNOWN, (), None, "unknown: the registers could not be read off this snapshot")
    waiting = _judged(sightings)
    waits = tuple(one.wait for one in waiting)
    cycles = [cycle for cycle in _cycles(waiting) if _lasted(cycle, sightings)]
    if cycles:
        sentences = [told.cycle(cycle, waits) for cycle in cycles]
        summary = f"deadlock: {sentences[0]}{_unverified(last)}"
        return WaitAnalysis(Finding.DEADLOCK, waits, cycles[0], summary, tuple(sentences[1:]))
    stuck = [one for one in waits if one.stuck or one.owner_state is OwnerState.GONE]
    if stuck:
        first, *others = told.chains(stuck, waits)
        return WaitAnalysis(Finding.STUCK, waits, None, f"stuck: {first}{_unverified(last)}", tuple(others))
    if waits and len(sightings) == 1:
        threads = counted(len(waits), "thread waits for a lock", "threads wait for locks")
        return WaitAnalysis(
            Finding.UNKNOWN, waits, None, f"unknown: no cycle, but {threads}; one sample cannot tell more"
        )
    return WaitAnalysis(Finding.NONE, waits, None, f"no deadlock: {_moved(waits)}")


@dataclass(frozen=True)
class _SampleBuilder:
    """One sample, while its threads are looked at."""

    backtrace: Backtrace
    states: ThreadStates
    listing: LockListing
    unseen: frozenset[int]
    calls: SystemCalls

    def waiting(self) -> tuple[WaitEdge, ...]:
        frames = {thread.lwp: thread.frames for thread in self.backtrace.threads}
        threads = {state.lwp: (state, frames.get(state.lwp, ())) for state in self.states.threads}
        found = {lwp: lock for lwp, (state, own) in threads.items() if (lock := awaited(state, own, self.calls))}
        return tuple(self._waiting(*threads[lwp], lock, threads, found) for lwp, lock in sorted(found.items()))

    def _waiting(
        self,
        state: ThreadState,
        frames: Sequence[Frame],
        lock: AwaitedLock,
        threads: Mapping[int, tuple[ThreadState, Sequence[Frame]]],
        found: Collection[int],
    ) -> WaitEdge:
        place = _place(frames)
        wait = Wait(
            lwp=state.lwp,
            thread_name=_began_in(frames),
            function=plain_name(place.function) if place and place.function else None,
            file=place.file if place else None,
            line=place.line if place else None,
            lock=f"{lock.address:#x}",
            lock_name=self.listing.names.get(lock.address) or _named_by_caller(frames) or state.symbol,
            kind=lock.kind,
            owner_lwp=lock.owner,
            owner_state=self._owner_state(lock, threads, found),
            holders=self.listing.holders.get(lock.address, ()) if lock.read_held else (),
        )
        return WaitEdge(wait, lock.timed, (wait.lwp, wait.lock, wait.function, wait.line, state.stack_pointer))

    def _owner_state(
        self, lock: AwaitedLock, threads: Mapping[int, tuple[ThreadState, Sequence[Frame]]], found: Collection[int]
    ) -> OwnerState:
        if lock.owner is None:
            return OwnerState.READERS if lock.read_held else OwnerState.UNKNOWN
        if lock.owner in found:
            return OwnerState.WAITING
        if lock.owner in threads:
            return doing(*threads[lock.owner], self.calls)
        return OwnerState.UNKNOWN if lock.owner in self.unseen else OwnerState.GONE


def _judged(sightings: Sequence[WaitSample]) -> tuple[WaitEdge, ...]:
    """The last sample's waits, each with whether it was there in all samples."""
    last = sightings[-1]
    if len(sightings) == 1:
        return last.waiting
    always = set.intersection(*(sighting.places for sighting in sightings))
    return tuple(replace(one, wait=replace(one.wait, stuck=one.place in always)) for one in last.waiting)


def _cycles(waiting: Iterable[WaitEdge]) -> list[tuple[int, ...]]:
    """The cycles, each from its lowest LWP on: a depth-first search that leaves a thread when it is done with.

    Of cycles that share a thread, as they may through readers, one is enough.
    """
    edges = {one.wait.lwp: one.awaits for one in waiting}
    cycles = []
    done: set[int] = set()
    for start in edges:
        path: list[int] = []
        waiting_for = [iter((start,))]
        while waiting_for:
            lwp = next(waiting_for[-1], None)
            if lwp is None:
                waiting_for.pop()
                if path:
                    done.add(path.pop())
            elif lwp in path:
                cycles.append(_from_lowest(path[path.index(lwp) :]))
            elif lwp in edges and lwp not in done:
                path.append(lwp)
                waiting_for.append(iter(edges[lwp]))
    return sorted(set(cycles))


def _from_lowest(cycle: Sequence[int]) -> tuple[int, ...]:
    lowest = cycle.index(min(cycle))
    return (*cycle[lowest:], *cycle[:lowest])


def _lasted(cycle: tuple[int, ...], sightings: Sequence[WaitSample]) -> bool:
    """Whether a cycle may be believed: what readers hold is Asterisk's word of a moment later, and must stay so."""
    members = [one for one in sightings[-1].waiting if one.wait.lwp in cycle]
    if all(one.wait.owner_lwp is not None for one in members):
        return True
    return len(sightings) > 1 and all(cycle in _cycles(sighting.waiting) for sighting in sightings)


def _moved(waits: Sequence[Wait]) -> str:
    if not waits:
        return "no thread waits for a lock"
    threads = counted(len(waits), "thread waits for a lock", "threads wait for locks")
    return f"{threads}, and none did in every sample"


def _unverified(sighting: WaitSample) -> str:
    return "" if sighting.verified else " (not verified on this machine)"


def _place(frames: Sequence[Frame]) -> Frame | None:
    """The frame that takes the lock: the innermost that is no lock's own."""
    own = (Role.LOCK, Role.ASTERISK_LOCK, Role.C_LIBRARY, Role.UNKNOWN)
    return next((frame for frame in frames if role(frame) not in own), None)


def _began_in(frames: Sequence[Frame]) -> str | None:
    """The function that the thread began in: the outermost that Asterisk or a module names."""
    outer = (frame for frame in reversed(frames) if frame.function and role(frame) is Role.CODE)
    return next((plain_name(frame.function) for frame in outer if frame.function), None)


def _named_by_caller(frames: Sequence[Frame]) -> str | None:
    """The name that Asterisk's lock wrappers are given with each lock (include/asterisk/lock.h, astobj2.h)."""
    for frame in frames:
        if role(frame) is Role.ASTERISK_LOCK and (found := _LOCK_NAME.search(frame.arguments)):
            return found[1].lstrip("&")
        if role(frame) is Role.CODE:
            break
    return None
