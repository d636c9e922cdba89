"""Grades a backtrace from 0 to 1: a quarter for all threads, the rest for the thread that crashed.

The weights are those of satyr's rating (lib/gdb_stacktrace.c of ABRT's satyr).
"""

from collections.abc import Sequence

from astbtd.backtrace.parser import Backtrace, Frame, Thread
from astbtd.diagnosis.crash_context import drop_bogus_frames
from astbtd.diagnosis.frame_kind import in_c_library

_ALL_THREADS_WEIGHT, _CRASH_THREAD_WEIGHT, _TOP_FRAMES_WEIGHT = 0.25, 0.35, 0.40
_TOP_FRAMES = 5


def grade_backtrace(backtrace: Backtrace, crashed: Thread | None) -> float:
    """Return the weighted share of frames that have function, file and line; 0 if there is no frame."""
    if not crashed:
        return 0.0
    threads = [_grade_frames(drop_bogus_frames(thread.frames)) for thread in backtrace.threads]
    frames = drop_bogus_frames(crashed.frames)
    parts = (
        _ALL_THREADS_WEIGHT * sum(threads) / len(threads),
        _CRASH_THREAD_WEIGHT * _grade_frames(frames),
        _TOP_FRAMES_WEIGHT * _grade_frames(frames[:_TOP_FRAMES]),
    )
    return round(sum(parts), 2)


def _grade_frames(frames: Sequence[Frame]) -> float:
    return sum(map(_grade_frame, frames)) / len(frames) if frames else 0.0


def _grade_frame(frame: Frame) -> float:
    """Return half a point for the function, half a point for file and line. Frames of the C library need no line."""
    if frame.signal_handler:
        return 1.0
    if not frame.function:
        return 0.0
    return 1.0 if frame.line is not None or in_c_library(frame) else 0.5
