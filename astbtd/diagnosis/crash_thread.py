"""Selects the thread that crashed, and tells what its frames say about that."""

import re

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parser import Backtrace, Thread
from astbtd.backtrace.thread_builder import FIRST_THREAD
from astbtd.diagnosis.frame_kind import FrameKind, classify, plain_name

_ABORT_FUNCTIONS = frozenset({"abort", "__assert_fail", "__assert", "__libc_message", "__fortify_fail", "ast_do_crash"})
_SIGABRT_ARGUMENT = re.compile(r"\bsig(?:no)?(?:=sig(?:no)?@entry)?=6\b")


def find_crash_thread(backtrace: Backtrace, lwp: int | None = None) -> Thread | None:
    """Return the thread that crashed. `lwp` is the thread that got the signal, if known.

    In this order: the thread that got the signal, the one that the text says crashed, the one of a sanitizer's report,
    one that is in a signal handler or aborts, gdb's first, the first of the text.
    """
    if lwp is not None:
        for thread in backtrace.threads:
            if thread.lwp == lwp:
                return thread
    for thread in backtrace.threads:
        if thread.crashed:
            return thread
    for thread in backtrace.threads:
        if thread.report is not None and thread.report == backtrace.report:
            return thread
    for thread in backtrace.threads:
        if handles_signal_or_aborts(thread):
            return thread
    return backtrace.thread(FIRST_THREAD) or next(iter(backtrace.threads), None)


def is_known_to_have_crashed(thread: Thread) -> bool:
    """Return True if the text, or gdb's numbering, says that `thread` crashed; False if that is a guess."""
    return thread.crashed or thread.number == FIRST_THREAD or handles_signal_or_aborts(thread)


def handles_signal_or_aborts(thread: Thread) -> bool:
    """Return True if `thread` is in a signal handler, or ends the process itself."""
    return any(frame.signal_handler or aborts(frame) for frame in thread.frames)


def aborts(frame: Frame) -> bool:
    """Return True if the process ends itself in `frame`."""
    if not frame.function:
        return False
    if plain_name(frame.function) in _ABORT_FUNCTIONS:
        return True
    return classify(frame) is FrameKind.ABORT and _SIGABRT_ARGUMENT.search(frame.arguments) is not None


def drop_bogus_frames(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the frames up to the thread's start function. gdb may invent frames beyond it. Without one, return all."""
    for index in range(len(frames) - 1, -1, -1):
        if classify(frames[index]) is FrameKind.THREAD_START:
            return frames[: index + 1]
    return frames
