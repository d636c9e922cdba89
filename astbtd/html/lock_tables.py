"""The locks as tables, and the cycle or chain of threads that wait for one another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from astbtd.backtrace.lock_listing import ListedLock, LockListing
from astbtd.diagnosis.deadlock.cycles import find_cycles
from astbtd.html.data_tables import DataTable
from astbtd.model.deadlock_capture import Deadlock, Finding, Wait

_STUCK = {None: "", True: "yes", False: "no"}


@dataclass(frozen=True)
class WaitStep:
    """A thread of a chain, and the lock that it waits for."""

    thread: str
    place: str
    lock: str


@dataclass(frozen=True)
class WaitChain:
    """Threads that each wait for the next. `closed`: the last one waits for the first, which is a deadlock."""

    steps: tuple[WaitStep, ...]
    closed: bool


def tabulate_listing(listing: LockListing) -> DataTable | None:
    """Return who holds and who awaits each lock, contended ones first; None if there are no locks."""
    held, awaited = _by_address(listing.held), _by_address(listing.awaited)
    rows = []
    for address, entries in {**awaited, **held}.items():
        places = _list_places(held.get(address, ())), _list_places(awaited.get(address, ()))
        rows.append((entries[0].name.lstrip("&"), str(entries[0].mode), f"{address:#x}", *places))
    if not rows:
        return None
    return DataTable(f"Locks ({len(rows)})", ("Lock", "Kind", "Address", "Held by", "Awaited by"), tuple(rows))


def _by_address(locks: Iterable[ListedLock]) -> dict[int, list[ListedLock]]:
    grouped: dict[int, list[ListedLock]] = {}
    for lock in locks:
        grouped.setdefault(lock.address, []).append(lock)
    return grouped


def tabulate_waits(waits: Sequence[Wait]) -> DataTable | None:
    """Return who waits for which lock in a capture; None if nobody does."""
    if not waits:
        return None
    headings = ("Thread", "Waits in", "For", "Owner", "Locked at", "In every sample")
    rows = tuple(
        (
            _name_thread(wait),
            _place(wait.function, wait.file, wait.line),
            f"{wait.kind} {wait.lock_name or ''} {wait.lock}".replace("  ", " "),
            _describe_owner(wait),
            wait.locked_at or "",
            _STUCK[wait.stuck],
        )
        for wait in waits
    )
    return DataTable(f"Who waits for whom ({len(rows)})", headings, rows)


def chain_of_listing(listing: LockListing) -> WaitChain | None:
    """Return the first deadlock in a list of locks; None if there is none."""
    blockers = {lwp: listing.holders.get(lock.address, ()) for lwp, lock in listing.awaited_by_lwp.items()}
    cycles = find_cycles(blockers)
    if not cycles:
        return None
    awaited = listing.awaited_by_lwp
    steps = []
    for lwp in cycles[0]:
        lock = awaited[lwp]
        steps.append(WaitStep(f"LWP {lwp}", _place(lock.function, lock.file, lock.line), lock.name.lstrip("&")))
    return WaitChain(tuple(steps), closed=True)


def chain_of_capture(capture: Deadlock) -> WaitChain | None:
    """Return the deadlock of a capture, or, where threads are stuck, the chain of the first one; None if neither."""
    by_lwp = {wait.lwp: wait for wait in capture.wait_for}
    steps = tuple(_to_step(by_lwp[lwp]) for lwp in capture.cycle or () if lwp in by_lwp)
    if steps:
        return WaitChain(steps, closed=True)
    stuck = [wait for wait in capture.wait_for if wait.stuck]
    return _follow(stuck[0], by_lwp) if stuck and capture.finding is Finding.STUCK else None


def _follow(wait: Wait, by_lwp: Mapping[int, Wait]) -> WaitChain:
    """Return the chain from a wait to the thread that waits for none of the others."""
    steps = {wait.lwp: _to_step(wait)}
    while wait.owner_lwp is not None and wait.owner_lwp in by_lwp and wait.owner_lwp not in steps:
        wait = by_lwp[wait.owner_lwp]
        steps[wait.lwp] = _to_step(wait)
    last = WaitStep("holder unknown" if wait.owner_lwp is None else f"LWP {wait.owner_lwp}", "", "")
    return WaitChain((*steps.values(), last), closed=False)


def _to_step(wait: Wait) -> WaitStep:
    return WaitStep(_name_thread(wait), _place(wait.function, wait.file, wait.line), wait.lock_name or wait.lock)


def _name_thread(wait: Wait) -> str:
    return f"LWP {wait.lwp} {wait.thread_name}" if wait.thread_name else f"LWP {wait.lwp}"


def _place(function: str | None, file: str | None, line: int | None) -> str:
    location = f"{file.rpartition('/')[2]}:{line}" if file and line else file or ""
    return " ".join(filter(None, (function or "??", location)))


def _describe_owner(wait: Wait) -> str:
    if wait.owner_lwp is not None:
        return f"LWP {wait.owner_lwp}, {wait.owner_state}"
    return ", ".join([str(wait.owner_state), *(f"LWP {lwp}" for lwp in wait.holders)])


def _list_places(locks: Iterable[ListedLock]) -> str:
    return "; ".join(f"LWP {lock.lwp} in {_place(lock.function, lock.file, lock.line)}" for lock in locks)
