"""Says in a sentence who waits for whom."""

from collections.abc import Mapping, Sequence

from astbtd.model.deadlock_capture import OwnerState, Wait

_DOES = {
    OwnerState.RUNNING: "which is running",
    OwnerState.CONDITION: "which waits on a condition",
    OwnerState.IO: "which waits for I/O",
    OwnerState.SLEEPING: "which sleeps",
    OwnerState.SIGNAL: "which waits for a signal",
    OwnerState.CHILD: "which waits for a child process",
    OwnerState.SYSTEM_CALL: "which is in a system call",
    OwnerState.GONE: "which no longer exists",
    OwnerState.UNKNOWN: "of which nothing is known",
}


def cycle(lwps: Sequence[int], waits: Sequence[Wait]) -> str:
    """One sentence for a deadlock, whose threads each wait for the next."""
    by_lwp = {wait.lwp: wait for wait in waits}
    parts = [
        f"waits for {_lock(by_lwp[lwp])} held by LWP {owner}"
        for lwp, owner in zip(lwps, (*lwps[1:], lwps[0]), strict=True)
    ]
    if len(lwps) == 1:
        return f"{_thread(by_lwp[lwps[0]])} waits for {_lock(by_lwp[lwps[0]])}, which it holds itself"
    return f"{_thread(by_lwp[lwps[0]])} {', which '.join(parts)}"


def chains(stuck: Sequence[Wait], waits: Sequence[Wait]) -> list[str]:
    """One sentence for each thread at the end of a chain: who waits, through whom, for what."""
    by_lwp = {wait.lwp: wait for wait in waits}
    awaited_by_others = {wait.owner_lwp for wait in stuck}
    heads = [wait for wait in stuck if wait.lwp not in awaited_by_others] or list(stuck)
    return [_chain(wait, by_lwp) for wait in heads]


def _chain(wait: Wait, by_lwp: Mapping[int, Wait]) -> str:
    sentence = f"{_thread(wait)} waits for {_lock(wait)} held by {_holder(wait)}"
    seen: set[int | None] = {wait.lwp, None}
    while wait.owner_lwp not in seen and (following := by_lwp.get(wait.owner_lwp or 0)):
        wait = following
        seen.add(wait.lwp)
        sentence += f", which waits for {_lock(wait)} held by {_holder(wait)}"
    return f"{sentence}, {does}" if (does := _DOES.get(wait.owner_state)) and wait.owner_lwp is not None else sentence


def _holder(wait: Wait) -> str:
    if wait.owner_lwp is not None:
        return f"LWP {wait.owner_lwp}"
    if wait.holders:
        return "readers: " + ", ".join(f"LWP {lwp}" for lwp in wait.holders)
    return "readers, unknown which" if wait.owner_state is OwnerState.READERS else "nobody at this moment"


def _thread(wait: Wait) -> str:
    where = f"{wait.file.rpartition('/')[2]}:{wait.line}" if wait.file and wait.line else wait.function
    return f"LWP {wait.lwp} ({', '.join(filter(None, (wait.thread_name, where))) or 'no names'})"


def _lock(wait: Wait) -> str:
    return wait.lock_name or f"{wait.kind} {wait.lock}"
