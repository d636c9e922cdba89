"""Findings about the cause of a crash: corrupt memory, memory that ran out, use after free, deadlocks."""

import re

from astbtd.backtrace.parser import Thread
from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding
from astbtd.diagnosis.hangs import find_lock_cycle
from astbtd.diagnosis.memory_corruption import is_stack_smashed
from astbtd.lib.quantities import pluralize
from astbtd.model.diagnosis import MemoryCorruption

_INNERMOST = 3  # frames whose arguments may be why it crashed
_FREED_MEMORY = re.compile(r"=0x(?:dead){2,4}\b")  # MALLOC_DEBUG fills freed memory with 0xdeaddead (main/astmm.c)


def find_memory_corruption(context: CrashContext) -> Finding | None:
    """Memory was damaged before the crash."""
    if is_stack_smashed(context.stack):
        reason = "A local variable was overrun: the compiler's stack protector detected it."
        return Finding(_with_message(reason, context), advice.FIND_STACK_OVERRUN)
    match context.memory_corruption:
        case MemoryCorruption.CERTAIN:
            reason = (
                "Memory is corrupt: the crash is in free(), or the allocator detected it. The damage was done earlier."
            )
            return Finding(_with_message(reason, context), advice.FIND_CORRUPTION)
        case MemoryCorruption.LIKELY if not context.out_of_memory:
            reason = "The crash is in malloc(), calloc() or realloc(): the heap was damaged earlier, or memory ran out."
            return Finding(_with_message(reason, context), advice.FIND_CORRUPTION)
    return None


def find_out_of_memory(context: CrashContext) -> Finding | None:
    """An allocation failed."""
    if not context.out_of_memory:
        return None
    return Finding(_with_message("Memory ran out: an allocation failed.", context), advice.FIND_MEMORY)


def find_use_after_free(context: CrashContext) -> Finding | None:
    """The crash function got a pointer that was read from freed memory."""
    frames = context.stack.frames[:_INNERMOST]
    if not any(_FREED_MEMORY.search(frame.arguments) for frame in frames):
        return None
    return Finding(
        "An address is 0xdeaddead, which MALLOC_DEBUG writes into memory when it is freed: this is a use after free.",
        advice.FIND_USE_AFTER_FREE,
    )


def find_hang(context: CrashContext) -> Finding | None:
    """Nothing crashed; threads wait for one another."""
    if context.crashed:
        return None
    remedy = () if context.debug_threads else advice.SHOW_LOCKS
    cycle = find_lock_cycle(context.backtrace.threads)
    if cycle:
        return Finding(_describe_cycle(cycle), remedy)
    threads = pluralize(len(context.hanging_threads), "thread waits", "threads wait")
    return Finding(
        f"The text shows no crash, but {threads} for another thread: this looks like a deadlock.",
        remedy,
    )


def find_deadlock(context: CrashContext) -> Finding | None:
    """The locks of the core have a cycle."""
    analysis = context.lock_analysis
    if not analysis or not analysis.cycle:
        return None
    cycle = analysis.summary.removeprefix("deadlock: ")
    return Finding(f"Threads were deadlocked when the process died: {cycle}.")


def _describe_cycle(cycle: tuple[Thread, ...]) -> str:
    owners = (*cycle[1:], cycle[0])
    waits = [
        f"LWP {thread.lwp} waits for a lock held by LWP {owner.lwp}"
        for thread, owner in zip(cycle, owners, strict=True)
    ]
    return f"Deadlock: {', '.join(waits)}."


def _with_message(reason: str, context: CrashContext) -> str:
    """Return the reason with the allocator's message, if there is one."""
    message = context.evidence.abort_message
    if not message and context.heap_errors:
        message = context.heap_errors[0].message
    return f"{reason} Message: {message}" if message else reason
