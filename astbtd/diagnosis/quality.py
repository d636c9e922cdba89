"""Defines the quality of a backtrace: how much of it a developer can read, from 0 to 1.

A frame counts 1 with function, file and line, 0.5 with the function only, 0 without a name. Of the C library, the
function is enough, and a frame without a name does not count: its symbols explain nothing of Asterisk. The grade is the
mean over the frames of all threads (weight 0.25), of the crash thread (0.35) and of its five innermost frames (0.40):
the weights of satyr's rating (lib/gdb_stacktrace.c of ABRT's satyr).

The quality is this grade, limited to the range of the verdict: usable from 0.8, partial from 0.3, unusable below. A
verdict may be worse than the grade, for example because the text has names but not those of the thread that crashed;
the quality is then the best one of the worse verdict. So a better verdict always has the better quality.
"""

from collections.abc import Collection, Sequence

from astbtd.backtrace.parser import Backtrace, Frame, Thread
from astbtd.diagnosis.crash_thread import drop_bogus_frames
from astbtd.diagnosis.frame_kind import in_c_library
from astbtd.model.crash import Verdict

_ALL_THREADS_WEIGHT, _CRASH_THREAD_WEIGHT, _TOP_FRAMES_WEIGHT = 0.25, 0.35, 0.40
_TOP_FRAMES = 5
_RANGES = {Verdict.USABLE: (0.8, 1.0), Verdict.PARTIAL: (0.3, 0.79), Verdict.UNUSABLE: (0.0, 0.29)}


def verdict_of_grade(grade: float) -> Verdict:
    """Return the best verdict that a grade allows."""
    for verdict, (lowest, _) in _RANGES.items():
        if grade >= lowest:
            return verdict
    return Verdict.UNUSABLE


def limit_quality(grade: float, verdict: Verdict) -> float:
    """Return the quality: the grade, but not more than the verdict allows."""
    return min(grade, _RANGES[verdict][1])


def grade_backtrace(backtrace: Backtrace, crashed: Thread | None, ignored: Collection[int] = ()) -> float:
    """Return the weighted share of frames that have function, file and line; 0 if there is no frame.

    `ignored` are the numbers of frames of the crash thread that contain no code, and so cannot have a name.
    """
    if not crashed:
        return 0.0
    frames = [frame for frame in drop_bogus_frames(crashed.frames) if frame.level not in ignored]
    threads = [
        _grade_frames(frames if thread is crashed else drop_bogus_frames(thread.frames)) for thread in backtrace.threads
    ]
    parts = (
        _ALL_THREADS_WEIGHT * sum(threads) / len(threads),
        _CRASH_THREAD_WEIGHT * _grade_frames(frames),
        _TOP_FRAMES_WEIGHT * _grade_frames(frames[:_TOP_FRAMES]),
    )
    return round(sum(parts), 2)


def _grade_frames(frames: Sequence[Frame]) -> float:
    """Return the mean over the frames that need a name; 0 if there is none of these."""
    graded = [frame for frame in frames if frame.function or not in_c_library(frame)]
    return sum(map(_grade_frame, graded)) / len(graded) if graded else 0.0


def _grade_frame(frame: Frame) -> float:
    """Return half a point for the function, half a point for file and line. Frames of the C library need no line."""
    if frame.signal_handler:
        return 1.0
    if not frame.function:
        return 0.0
    return 1.0 if frame.line is not None or in_c_library(frame) else 0.5
