"""Finds threads that wait for one another, if nothing crashed.

A thread that crashed did not hang, whatever the other threads were doing at that moment. If nothing crashed, somebody
took the backtrace because a thread waits for a lock for too long. The same holds for threads that sleep, if somebody
selected them from many.
"""

from collections.abc import Sequence

from astbtd.backtrace.parser import Thread
from astbtd.backtrace.thread_builder import FIRST_THREAD
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.frame_kind import in_c_library, plain_name
from astbtd.diagnosis.word_lists import load_words

_MAX_FRAMES_IN_LOCK = 5  # between the kernel and the function that takes the lock


def find_hanging_threads(threads: Sequence[Thread]) -> tuple[Thread, ...]:
    """Return the threads that wait for others. The result means something only if nothing crashed."""
    waiting = tuple(filter(waits_for_lock, threads))
    if waiting or not _are_selected(threads):
        return waiting
    all_wait = all(_has_word(_library_functions(thread), "wait") for thread in threads)
    return tuple(threads) if all_wait else ()


def waits_for_lock(thread: Thread) -> bool:
    """Return True if another thread has the lock that `thread` wants."""
    if thread.locks:
        return any(lock.waiting for lock in thread.locks)
    functions = _library_functions(thread)
    if _has_word(functions, "lock_wait"):
        return True
    if _has_word(functions, "sleep") and _has_word(functions, "lock_taking"):
        return True
    return _is_cut_inside_lock(thread) or _is_nameless_inside_lock(thread)


def _is_cut_inside_lock(thread: Thread) -> bool:
    """Return True if the frames that are left start with a function that takes a lock: those inside it were cut."""
    innermost = thread.frames[:1]
    if not innermost or not 0 < innermost[0].level <= _MAX_FRAMES_IN_LOCK or len(thread.frames) == 1:
        return False
    if not innermost[0].function:
        return False
    name = plain_name(innermost[0].function)
    return name in load_words("lock_taking") or name in load_words("asterisk_lock_taking")


def _is_nameless_inside_lock(thread: Thread) -> bool:
    """Return True if nameless functions of the C library were called by one that takes a lock.

    A thread that crashes because of an invalid lock does so in the function that takes it.
    """
    if not thread.frames or thread.frames[0].level != 0 or thread.frames[0].function:
        return False
    for frame in thread.frames:
        if frame.function:
            return plain_name(frame.function) in load_words("lock_taking")
        if not in_c_library(frame):
            return False
    return False


def is_sleeping(thread: Thread) -> bool:
    """Return True if `thread` is idle, as most threads are most of the time."""
    return _has_word(_library_functions(thread), "sleep")


def is_sleeping_stack(stack: CrashStack) -> bool:
    """Return True if the innermost frames of `stack` sleep, or wait for a lock that another thread holds."""
    functions = [plain_name(frame.function) for frame in stack.library_frames if frame.function]
    return _has_word(functions, "sleep") or _has_word(functions, "lock_wait")


def calls_library(thread: Thread) -> bool:
    """Return True if the innermost frames of `thread` are in the C library."""
    return bool(_library_functions(thread))


def find_lock_cycle(threads: Sequence[Thread]) -> tuple[Thread, ...]:
    """Return threads that each wait for a lock that the next one holds, according to `core show locks`."""
    holders: dict[str, Thread] = {}
    wanted: dict[int, str] = {}  # by the identity of the thread
    for thread in threads:
        for lock in thread.locks:
            if lock.waiting:
                wanted[id(thread)] = lock.address
            else:
                holders[lock.address] = thread
    blockers = {waiter: holders[address] for waiter, address in wanted.items() if address in holders}
    seen: set[int] = set()
    for thread in threads:
        path = _follow(thread, blockers, seen)
        blocker = blockers.get(id(path[-1])) if path else None
        start = next((index for index, each in enumerate(path) if each is blocker), None)
        if start is not None:
            return tuple(path[start:])
    return ()


def _follow(thread: Thread | None, blockers: dict[int, Thread], seen: set[int]) -> list[Thread]:
    """Return the threads from one on, each blocked by the next, up to one that was `seen`. Add them to these."""
    path: list[Thread] = []
    while thread is not None and id(thread) not in seen:
        seen.add(id(thread))
        path.append(thread)
        thread = blockers.get(id(thread))
    return path


def _library_functions(thread: Thread) -> list[str]:
    """Return the functions between the kernel and the code that called them; none if the innermost frame is missing."""
    if not thread.frames or thread.frames[0].level != 0:
        return []
    frames = CrashStack(thread.frames).library_frames
    return [plain_name(frame.function) for frame in frames if frame.function]


def _has_word(functions: Sequence[str], word_list: str) -> bool:
    words = load_words(word_list)
    return any(name in words for name in functions)


def _are_selected(threads: Sequence[Thread]) -> bool:
    """Return True if somebody selected these threads from more: all have numbers, and numbers are missing."""
    numbers = [thread.number for thread in threads if thread.number is not None]
    if not threads or len(numbers) != len(threads):
        return False
    return FIRST_THREAD not in numbers and max(numbers) > len(numbers)
