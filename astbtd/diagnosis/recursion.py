"""Finds a runaway recursion: functions that call one another until the stack is full."""

from collections import Counter
from dataclasses import dataclass

from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.frame_kind import FrameKind, classify, plain_name

_MIN_FRAMES = 100  # fewer frames do not fill a stack, unless a sanitizer says that they did
_MIN_SHARE = 0.8  # of the frames that the text has
_MAX_FUNCTIONS = 12
_MIN_CALLS = 3


@dataclass(frozen=True)
class Recursion:
    """`functions` call one another, innermost first; `calls` is how often each is on the stack, about."""

    functions: tuple[str, ...]
    calls: int

    @property
    def cycle(self) -> tuple[str, ...]:
        """The functions in an order that does not depend on where the stack ended."""
        return tuple(sorted(self.functions))


def find_recursion(stack: CrashStack, frame_count: int, *, overflow: bool = False) -> Recursion | None:
    """Return the recursion that filled the stack, or None. The text has `frame_count` frames of the thread.

    `overflow`: a sanitizer says that the stack overflowed, so that a few frames are enough.
    """
    if frame_count < _MIN_FRAMES and not overflow:
        return None
    names = [plain_name(frame.function or "") for frame in stack.frames if classify(frame) is FrameKind.CODE]
    counts = Counter(names)
    min_calls = max(_MIN_CALLS, len(stack.frames) // (2 * _MAX_FUNCTIONS))
    repeated = [name for name in counts if counts[name] >= min_calls]  # in order of appearance, innermost first
    on_stack = sum(counts[name] for name in repeated)
    if not repeated or len(repeated) > _MAX_FUNCTIONS or on_stack < _MIN_SHARE * len(stack.frames):
        return None
    others = len(stack.frames) - on_stack
    return Recursion(tuple(repeated), max(1, (frame_count - others) // len(repeated)))


def describe_recursion(recursion: Recursion) -> str:
    """Return which functions call one another, and how often."""
    *others, last = recursion.functions
    times = f"{recursion.calls:,} times"
    if not others:
        return f"{last} calls itself {times}"
    verb = "call each other" if len(others) == 1 else "call one another"
    return f"{', '.join(others)} and {last} {verb} {times}"
