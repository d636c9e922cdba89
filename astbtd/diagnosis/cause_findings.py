"""Findings about the cause of a crash: corrupt memory, memory that ran out, use after free, deadlocks."""

import re

from astbtd.backtrace.parser import Thread
from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding
from astbtd.diagnosis.frame_kind import FrameKind, plain_name
from astbtd.diagnosis.hangs import find_lock_cycle, is_sleeping_stack
from astbtd.diagnosis.memory_corruption import is_stack_smashed
from astbtd.diagnosis.recursion import describe_recursion
from astbtd.lib.quantities import pluralize
from astbtd.model.diagnosis import Kind, MemoryCorruption

_INNERMOST = 3  # frames whose arguments may be why it crashed
_MALLOC_DEBUG_FUNCTIONS = frozenset(
    {"region_check_fences", "region_data_check", "regions_check_all_fences", "my_do_crash", "fence_check"}
)
_FREED_MEMORY = re.compile(r"=0x(?:dead){2,4}\b")  # MALLOC_DEBUG fills freed memory with 0xdeaddead (main/astmm.c)


def find_memory_corruption(context: CrashContext) -> Finding | None:
    """Memory was damaged before the crash. If a tool reported the access that was wrong, it needs no other tool."""
    if context.backtrace.report and not context.backtrace.report.signal:
        return None
    if is_stack_smashed(context.stack):
        reason = "A local variable was overrun: the compiler's stack protector detected it."
        return Finding(_with_message(reason, context), advice.FIND_STACK_OVERRUN)
    remedy = advice.USE_MALLOC_DEBUG_LOG if _has_malloc_debug(context) else advice.FIND_CORRUPTION
    match context.memory_corruption:
        case MemoryCorruption.CERTAIN:
            reason = (
                "Memory is corrupt: the crash is in free(), or the allocator detected it. The damage was done earlier."
            )
            return Finding(_with_message(reason, context), remedy)
        case MemoryCorruption.LIKELY if not context.out_of_memory:
            reason = "The crash is in malloc(), calloc() or realloc(): the heap was damaged earlier, or memory ran out."
            return Finding(_with_message(reason, context), remedy)
    return None


def find_invalid_lock(context: CrashContext) -> Finding | None:
    """The thread did not wait for a lock: it crashed because there is none at the address."""
    if not is_invalid_lock(context):
        return None
    return Finding("The crash is in a function that takes or releases a lock: it is a lock of a freed or null object.")


def is_invalid_lock(context: CrashContext) -> bool:
    """Return True if the thread crashed in a function that takes or releases a lock."""
    if context.kind is not Kind.CRASH or context.stack.is_assertion or context.recursion:
        return False
    if is_sleeping_stack(context.stack) or context.memory_corruption is not MemoryCorruption.NONE:
        return False
    return not context.stack.library_kinds.isdisjoint({FrameKind.LOCK, FrameKind.ASTERISK_LOCK})


def find_recursion(context: CrashContext) -> Finding | None:
    """The stack is full, because functions call one another without end."""
    recursion = context.recursion
    if not recursion:
        return None
    return Finding(
        f"Stack overflow: {describe_recursion(recursion)}. The innermost frame is only where the stack ended.",
        ("Look for what makes the recursion endless: dialplan that includes or evaluates itself, or a loop in data.",),
    )


def _has_malloc_debug(context: CrashContext) -> bool:
    if any(error.malloc_debug for error in context.heap_errors):
        return True
    functions = {plain_name(frame.function) for frame in context.stack.library_frames if frame.function}
    return not functions.isdisjoint(_MALLOC_DEBUG_FUNCTIONS)


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
    if context.kind is not Kind.DEADLOCK:
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
