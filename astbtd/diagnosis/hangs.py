"""Tells whether the threads wait for one another.

A thread that crashed did not hang, whatever the others were doing at that moment. Where nothing crashed, a thread that
waits for a lock has its backtrace taken because it waits too long; so has one that sleeps and was picked out of many.
"""

from collections.abc import Iterator, Sequence

from astbtd.backtrace.parser import Thread
from astbtd.diagnosis.crash_function import Stack
from astbtd.diagnosis.frame_kind import plain_name
from astbtd.diagnosis.word_lists import words

_FIRST = 1


def hanging(threads: Sequence[Thread]) -> tuple[Thread, ...]:
    """The threads that wait for others, if nothing crashed."""
    waiting = tuple(filter(waits_for_lock, threads))
    if waiting or not _picked_out(threads):
        return waiting
    return tuple(threads) if all(_any(list(_innermost(thread)), "wait") for thread in threads) else ()


def waits_for_lock(thread: Thread) -> bool:
    """Whether another thread has the lock that `thread` wants."""
    if thread.locks:
        return any(lock.waiting for lock in thread.locks)
    names = list(_innermost(thread))
    sleeping = any(name in words("sleep") for name in names)
    return _any(names, "lock_wait") or (sleeping and _any(names, "lock_taking"))


def sleeps(thread: Thread) -> bool:
    """Whether `thread` does nothing of its own, as most threads do most of the time."""
    return _any(list(_innermost(thread)), "sleep")


def circle(threads: Sequence[Thread]) -> tuple[Thread, ...]:
    """Threads of which each waits for a lock that the next one holds, as `core show locks` lists them; else none."""
    holders = {lock.address: thread for thread in threads for lock in thread.locks if not lock.waiting}
    wanted = {id(thread): lock.address for thread in threads for lock in thread.locks if lock.waiting}
    for thread in threads:
        path: list[Thread] = []
        while thread not in path and id(thread) in wanted and wanted[id(thread)] in holders:
            path.append(thread)
            thread = holders[wanted[id(thread)]]
        if thread in path:
            return tuple(path[path.index(thread) :])
    return ()


def _innermost(thread: Thread) -> Iterator[str]:
    """The names of the frames between the kernel and the code that called; none where the text lacks the innermost."""
    if thread.frames and thread.frames[0].level == 0:
        yield from (plain_name(frame.function) for frame in Stack(thread.frames).machinery if frame.function)


def _any(names: Sequence[str], listed: str) -> bool:
    return any(name in words(listed) for name in names)


def _picked_out(threads: Sequence[Thread]) -> bool:
    """Whether somebody chose to show these threads out of more."""
    numbers = [thread.number for thread in threads if thread.number is not None]
    return len(numbers) == len(threads) > 0 and _FIRST not in numbers and max(numbers) > len(numbers)
