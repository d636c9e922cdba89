"""Decides whether memory was corrupted, from the functions in which the thread crashed and the allocator's messages.

A crash in the allocator means that the heap was damaged earlier, somewhere else. In free, or if an allocator reports it
by itself, this is certain. In malloc, calloc and realloc, memory may have run out instead. Asterisk's documentation,
"Getting a Backtrace", makes the same distinction.
"""

import re
from collections.abc import Sequence

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.marker_types import HeapError, ToolReport
from astbtd.backtrace.tool_reports import VALGRIND
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.frame_kind import FrameKind, classify, plain_name
from astbtd.diagnosis.word_lists import load_words
from astbtd.model.diagnosis import MemoryCorruption

_ALLOCATE_KINDS = frozenset({FrameKind.ALLOCATE, FrameKind.ASTERISK_ALLOCATE})
_RELEASE_KINDS = frozenset({FrameKind.RELEASE, FrameKind.ASTERISK_RELEASE})
_ABORT_PATH_KINDS = frozenset({FrameKind.ABORT, FrameKind.SIGNAL_HANDLER, FrameKind.C_LIBRARY})
_MALLOC_MESSAGE = re.compile(r"\b(?:malloc|calloc|realloc|memalign|malloc_consolidate|sysmalloc)\b")
_PJLIB_THROW = ("pj_throw_exception_", "pj_throw_exception")
_PJ_NO_MEMORY = re.compile(r"\bexception_id=1\b")  # PJ_NO_MEMORY_EXCEPTION, the first id that pjlib allocates

# What AddressSanitizer calls accesses that are wrong. Signals that it catches, leaks and others are no corruption.
_WRONG_ACCESS = re.compile(
    r"heap-|stack-buffer-|stack-use-|global-buffer-|dynamic-stack-|use-after-|double-free|attempting (?:double-)?free|"
    r"bad-free|container-overflow|intra-object|tag-mismatch"
)
_WRONG_WRITE = re.compile(r"Invalid (?:write|free)")


def judge_report(report: ToolReport) -> MemoryCorruption | None:
    """Return whether memory was corrupted according to a tool; None if its report does not decide that."""
    if report.tool == VALGRIND:
        if report.signal:
            return None
        return MemoryCorruption.CERTAIN if _WRONG_WRITE.match(report.error) else MemoryCorruption.NONE
    return MemoryCorruption.CERTAIN if _WRONG_ACCESS.match(report.error) else MemoryCorruption.NONE


def detect_memory_corruption(stack: CrashStack, heap_errors: Sequence[HeapError]) -> MemoryCorruption | None:
    """Return whether memory was corrupted; None if the text ends before that can be decided."""
    if is_stack_smashed(stack):
        return MemoryCorruption.CERTAIN
    called = _allocator_kind(stack)
    if called in _RELEASE_KINDS:
        return MemoryCorruption.CERTAIN
    if called in _ALLOCATE_KINDS:
        return MemoryCorruption.LIKELY
    messages = _messages_about(stack, heap_errors)
    if messages and all(map(_MALLOC_MESSAGE.search, messages)):
        return MemoryCorruption.LIKELY
    if messages or FrameKind.HEAP_CHECK in stack.library_kinds:
        return MemoryCorruption.CERTAIN
    return None if _ends_in_abort(stack) else MemoryCorruption.NONE


def is_stack_smashed(stack: CrashStack) -> bool:
    """Return True if the compiler's stack protector found that a local variable was overrun."""
    words = load_words("stack_check")
    return any(plain_name(frame.function or "") in words for frame in stack.library_frames)


def is_out_of_memory(stack: CrashStack, heap_errors: Sequence[HeapError]) -> bool:
    """Return True if an allocation failed, according to a log message or an exception of pjlib."""
    if any(error.out_of_memory for error in heap_errors):
        return True
    return any(map(_throws_no_memory, stack.frames))


def _throws_no_memory(frame: Frame) -> bool:
    return frame.function in _PJLIB_THROW and _PJ_NO_MEMORY.search(frame.arguments) is not None


def _allocator_kind(stack: CrashStack) -> FrameKind | None:
    """Return the kind of the allocator's outermost frame, which is the function that the program called."""
    for frame in reversed(stack.library_frames):
        kind = classify(frame)
        if kind in _ALLOCATE_KINDS or kind in _RELEASE_KINDS:
            return kind
    return None


def _messages_about(stack: CrashStack, heap_errors: Sequence[HeapError]) -> list[str]:
    """Return the messages about a damaged heap that may be why this thread ended."""
    # A message of an allocator belongs to this crash only if the thread aborted, or if no frames are left of it.
    may_be_cause = stack.is_assertion or not stack.frames
    return [error.message for error in heap_errors if may_be_cause and not error.out_of_memory]


def _ends_in_abort(stack: CrashStack) -> bool:
    """Return True if the text ends before the function that aborted."""
    kinds = stack.library_kinds
    if len(stack.library_frames) != len(stack.frames) or not kinds <= _ABORT_PATH_KINDS:
        return False
    return FrameKind.ABORT in kinds or not kinds
