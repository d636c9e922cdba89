"""Builds the frames of one stack from the lines of one `bt`, in whichever format."""

from dataclasses import replace

from astbtd.backtrace.gdb_frame import Frame, WrappedFrame, is_optimized
from astbtd.backtrace.other_formats import NEXT_LEVEL

_MAX_FRAMES = 1000  # innermost first; further frames are only counted


class StackBuilder:
    """The frames parsed so far, innermost first. `frame_count` includes those that were not kept."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.frame_count = 0
        self._level = -1
        self._last: Frame | WrappedFrame | None = None  # not in `frames` yet: more lines of it may follow
        self._last_is_optimized = False  # by a local variable
        self._absorbed_frame = False

    def starts_another_stack(self, frame: Frame | WrappedFrame) -> bool:
        """Return True if `frame` belongs to another stack: it is not further out than the last one."""
        return self._is_not_further_out(frame) and not self._are_numbers_removed(frame)

    def absorb(self, frame: Frame | WrappedFrame, line: str) -> bool:
        """Take a `line` that looks like a frame as part of an argument that is wrapped. Return False if it is a frame.

        This is done for one line only. The argument may never end, because the frame was cut short; so a second line
        that looks like a frame is taken as one.
        """
        last = self._last
        if self._absorbed_frame or not isinstance(last, WrappedFrame):
            return False
        if not last.is_open or not self._is_not_further_out(frame):
            return False
        last.append(line)
        self._absorbed_frame = True
        return True

    @property
    def has_frames(self) -> bool:
        """True if the first frame has started."""
        return bool(self.frames) or self._last is not None

    @property
    def is_in_argument(self) -> bool:
        """True if the argument list of the last frame is not closed yet."""
        return isinstance(self._last, WrappedFrame) and self._last.is_open

    def start_frame(self, frame: Frame | WrappedFrame) -> None:
        """Start the next frame. More lines of it may follow."""
        is_next = frame.level == NEXT_LEVEL or self._are_numbers_removed(frame)
        self.end_frame()
        self._last = frame
        self._absorbed_frame = False
        self._level = self._level + 1 if is_next else frame.level

    def continue_frame(self, line: str) -> bool:
        """Take a line of the last frame, or one of its local variables. Return False if the line is neither."""
        if isinstance(self._last, WrappedFrame) and self._last.is_continued_by(line):
            self._last.append(line)
            return True
        if line.startswith((" ", "\t")):
            self._last_is_optimized = self._last_is_optimized or is_optimized(line)
            return True
        return False

    def end_frame(self) -> None:
        """End the last frame: no more lines of it follow."""
        if self._last is None:
            return
        self.frame_count += 1
        if len(self.frames) < _MAX_FRAMES:
            self.frames.append(self._finish(self._last))
        self._last = None
        self._last_is_optimized = False

    def _finish(self, last: Frame | WrappedFrame) -> Frame:
        frame = last.to_frame() if isinstance(last, WrappedFrame) else last
        optimized = frame.optimized or self._last_is_optimized
        if frame.level == self._level and frame.optimized == optimized:
            return frame
        return replace(frame, level=self._level, optimized=optimized)

    def _is_not_further_out(self, frame: Frame | WrappedFrame) -> bool:
        return NEXT_LEVEL < frame.level <= self._level

    def _are_numbers_removed(self, frame: Frame | WrappedFrame) -> bool:
        """Return True if somebody removed the numbers: one frame without a number follows another."""
        last = self._last
        if not isinstance(frame, WrappedFrame) or not isinstance(last, WrappedFrame):
            return False
        return not frame.numbered and not last.numbered
