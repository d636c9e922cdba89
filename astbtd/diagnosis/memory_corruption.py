"""Judges whether memory was corrupted: by the functions in which the thread crashed, and by what the allocator said.

A crash in the allocator is a crash of a heap that was damaged before, somewhere else. In free, and where an allocator
reports it by itself, that is certain; in malloc, calloc and realloc memory may have run out instead. That is how
Asterisk's documentation, "Getting a Backtrace", tells them apart.
"""

import re
from collections.abc import Sequence

from astbtd.backtrace.markers import HeapError
from astbtd.diagnosis.crash_function import Stack
from astbtd.diagnosis.frame_kind import Role, plain_name, role
from astbtd.diagnosis.word_lists import words
from astbtd.model.crash import MemoryCorruption

_ALLOCATING = frozenset({Role.ALLOCATE, Role.ASTERISK_ALLOCATE})
_RELEASING = frozenset({Role.RELEASE, Role.ASTERISK_RELEASE})
_ON_THE_WAY = frozenset({Role.ABORT, Role.SIGNAL_HANDLER, Role.C_LIBRARY})
_IN_MALLOC = re.compile(r"\b(?:malloc|calloc|realloc|memalign|malloc_consolidate|sysmalloc)\b")
_NO_MEMORY = re.compile(r"\bexception_id=1\b")  # pjlib's PJ_NO_MEMORY_EXCEPTION, the first that it allocates


def memory_corruption(stack: Stack, said: Sequence[HeapError]) -> MemoryCorruption | None:
    """Whether memory was corrupted; None where the text ends before it tells. `said` is about this crash."""
    if stack_was_smashed(stack):
        return MemoryCorruption.CERTAIN
    entry = _entry(stack)
    if entry:
        return MemoryCorruption.CERTAIN if entry in _RELEASING else MemoryCorruption.LIKELY
    complaints = [each.message for each in said if not each.no_memory and (each.checked or _may_be_of(stack))]
    if complaints or Role.HEAP_CHECK in stack.parts:
        in_malloc = complaints and all(map(_IN_MALLOC.search, complaints))
        return MemoryCorruption.LIKELY if in_malloc else MemoryCorruption.CERTAIN
    return None if _ends_on_the_way(stack) else MemoryCorruption.NONE


def stack_was_smashed(stack: Stack) -> bool:
    """Whether the compiler's check found that a local variable was overrun."""
    return any(frame.function and plain_name(frame.function) in words("stack_check") for frame in stack.machinery)


def memory_ran_out(stack: Stack, said: Sequence[HeapError]) -> bool:
    """Whether something says that memory could not be had: a log, pjlib's or C++'s exception for that."""
    return any(each.no_memory for each in said) or any(
        frame.function in ("pj_throw_exception_", "pj_throw_exception") and _NO_MEMORY.search(frame.arguments)
        for frame in stack.frames
    )


def _entry(stack: Stack) -> Role | None:
    """The part of the outermost frame of the allocator: what the program had called."""
    parts = map(role, reversed(stack.machinery))
    return next((part for part in parts if part in _ALLOCATING | _RELEASING), None)


def _ends_on_the_way(stack: Stack) -> bool:
    """Whether the text ends before it tells who aborted."""
    aborting = Role.ABORT in stack.parts or not stack.parts
    return aborting and stack.parts <= _ON_THE_WAY and len(stack.machinery) == len(stack.frames)


def _may_be_of(stack: Stack) -> bool:
    """Whether what was said of the heap may be why this thread ended: it aborted, or nothing of it is left."""
    return stack.asserting or not stack.frames
