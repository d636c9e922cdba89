"""Describes in a sentence which thread waits for which."""

from collections.abc import Mapping, Sequence

from astbtd.model.deadlock_capture import OwnerState, Wait

_OWNER_ACTIVITY = {
    OwnerState.RUNNING: "which is running",
    OwnerState.CONDITION: "which waits on a condition",
    OwnerState.IO: "which waits for I/O",
    OwnerState.SLEEPING: "which sleeps",
    OwnerState.SIGNAL: "which waits for a signal",
    OwnerState.CHILD: "which waits for a child process",
    OwnerState.SYSTEM_CALL: "which is in a system call",
    OwnerState.GONE: "which no longer exists",
    OwnerState.UNKNOWN: "whose state is unknown",
}


def describe_cycle(lwps: Sequence[int], waits: Sequence[Wait]) -> str:
    """Return one sentence for a deadlock, whose threads each wait for the next."""
    by_lwp = {wait.lwp: wait for wait in waits}
    first = by_lwp[lwps[0]]
    if len(lwps) == 1:
        return f"{_describe_thread(first)} waits for {_describe_lock(first)}, which it holds itself"
    owners = (*lwps[1:], lwps[0])
    parts = []
    for lwp, owner in zip(lwps, owners, strict=True):
        parts.append(f"waits for {_describe_lock(by_lwp[lwp])} held by LWP {owner}")
    return f"{_describe_thread(first)} {', which '.join(parts)}"


def describe_chains(stuck: Sequence[Wait], waits: Sequence[Wait]) -> list[str]:
    """Return one sentence for each thread that no other stuck thread waits for: all that it waits for, in order."""
    by_lwp = {wait.lwp: wait for wait in waits}
    blockers = {wait.owner_lwp for wait in stuck}
    heads = [wait for wait in stuck if wait.lwp not in blockers]
    if not heads:  # a cycle that is not a deadlock, for example because a wait has a time limit
        heads = list(stuck)
    return [_describe_chain(wait, by_lwp) for wait in heads]


def _describe_chain(wait: Wait, by_lwp: Mapping[int, Wait]) -> str:
    chain = _follow_owners(wait, by_lwp)
    parts = [f"waits for {_describe_lock(each)} held by {_describe_holder(each)}" for each in chain]
    sentence = f"{_describe_thread(wait)} {', which '.join(parts)}"
    last = chain[-1]
    activity = _OWNER_ACTIVITY.get(last.owner_state)
    return f"{sentence}, {activity}" if activity and last.owner_lwp is not None else sentence


def _follow_owners(wait: Wait, by_lwp: Mapping[int, Wait]) -> list[Wait]:
    """Return the waits from this one on, until an owner does not wait, or is in the chain already."""
    chain = [wait]
    seen = {wait.lwp}
    while wait.owner_lwp is not None and wait.owner_lwp not in seen:
        if wait.owner_lwp not in by_lwp:
            break
        wait = by_lwp[wait.owner_lwp]
        chain.append(wait)
        seen.add(wait.lwp)
    return chain


def _describe_holder(wait: Wait) -> str:
    if wait.owner_lwp is not None:
        return f"LWP {wait.owner_lwp}"
    if wait.holders:
        return "readers: " + ", ".join(f"LWP {lwp}" for lwp in wait.holders)
    return "unknown readers" if wait.owner_state is OwnerState.READERS else "no thread at this moment"


def _describe_thread(wait: Wait) -> str:
    location = f"{wait.file.rpartition('/')[2]}:{wait.line}" if wait.file and wait.line else wait.function
    names = ", ".join(filter(None, (wait.thread_name, location)))
    return f"LWP {wait.lwp} ({names or 'no names'})"


def _describe_lock(wait: Wait) -> str:
    return wait.lock_name or f"{wait.kind} {wait.lock}"
