"""Gathers the lines of one stack into frames: one `bt`, whoever printed it."""

from dataclasses import replace

from astbtd.backtrace.gdb_frame import Frame, FrameText, is_optimized
from astbtd.backtrace.other_formats import NEXT

_MOST_FRAMES = 1000  # innermost first; the others are counted


class StackText:
    """The frames so far, innermost first; `count` is how many there were in all."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.count = 0
        self._level = -1
        self._begun: Frame | FrameText | None = None
        self._optimized = False
        self._swallowed = False

    def ends_before(self, frame: Frame | FrameText) -> bool:
        """Whether `frame` is no further out than the last one: it belongs to another stack."""
        return NEXT < frame.level <= self._level and not self._goes_on_without_numbers(frame)

    def swallow(self, frame: Frame | FrameText, line: str) -> bool:
        """Takes a `line` that looks like a frame where none can be: it is text of an argument that was wrapped.

        A second one is a frame all the same, after one that was cut short.
        """
        last = self._begun
        if (
            self._swallowed
            or not isinstance(last, FrameText)
            or not last.is_open
            or not NEXT < frame.level <= self._level
        ):
            return False
        last.add(line)
        self._swallowed = True
        return True

    def begin(self, frame: Frame | FrameText) -> None:
        """Begins the next frame, of which more lines may follow."""
        next_out = frame.level == NEXT or self._goes_on_without_numbers(frame)
        self.end_frame()
        self._begun, self._swallowed = frame, False
        self._level = self._level + 1 if next_out else frame.level

    def go_on(self, line: str) -> bool:
        """Takes a line that belongs to the last frame, or a local variable of it; False if it is neither."""
        if isinstance(self._begun, FrameText) and self._begun.continues(line):
            self._begun.add(line)
            return True
        if line.startswith((" ", "\t")):
            self._optimized = self._optimized or is_optimized(line)
            return True
        return False

    def _goes_on_without_numbers(self, frame: Frame | FrameText) -> bool:
        """Whether somebody took the numbers off: a frame without one follows another at once."""
        last = self._begun
        return isinstance(frame, FrameText) and isinstance(last, FrameText) and not (frame.numbered or last.numbered)

    def end_frame(self) -> None:
        """Ends the last frame: nothing of it follows any more."""
        if self._begun is None:
            return
        self.count += 1
        if len(self.frames) < _MOST_FRAMES:
            frame = self._begun.frame() if isinstance(self._begun, FrameText) else self._begun
            optimized = frame.optimized or self._optimized
            if (frame.level, frame.optimized) != (self._level, optimized):
                frame = replace(frame, level=self._level, optimized=optimized)
            self.frames.append(frame)
        self._begun, self._optimized = None, False
