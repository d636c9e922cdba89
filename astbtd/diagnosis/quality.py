"""Grades a backtrace from 0 to 1, as satyr does: a quarter for all threads, the rest for the one that crashed.

The weights are those of satyr's rating (lib/gdb_stacktrace.c of ABRT's satyr).
"""

from collections.abc import Sequence

from astbtd.backtrace.parser import Backtrace, Frame, Thread
from astbtd.diagnosis.crash_context import frames_called
from astbtd.diagnosis.frame_kind import in_c_library

_ALL_THREADS, _CRASH_THREAD, _TOP_FRAMES = 0.25, 0.35, 0.40
_TOP = 5


def quality(backtrace: Backtrace, crashed: Thread | None) -> float:
    """The share of frames that say function, file and line; 0 where there is no frame."""
    if not crashed:
        return 0.0
    threads = [_share(frames_called(thread.frames)) for thread in backtrace.threads]
    frames = frames_called(crashed.frames)
    parts = (
        _ALL_THREADS * sum(threads) / len(threads),
        _CRASH_THREAD * _share(frames),
        _TOP_FRAMES * _share(frames[:_TOP]),
    )
    return round(sum(parts), 2)


def _share(frames: Sequence[Frame]) -> float:
    return sum(map(_known, frames)) / len(frames) if frames else 0.0


def _known(frame: Frame) -> float:
    """Half for the function, half for its place in the source, which nobody misses in the C library."""
    if frame.signal_handler:
        return 1.0
    if not frame.function:
        return 0.0
    return 1.0 if frame.line is not None or in_c_library(frame) else 0.5
