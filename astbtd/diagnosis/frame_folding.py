"""Folds repeated frames: of a recursion, and of a stack that was overwritten with the same value."""

from collections.abc import Iterator, Sequence

from astbtd.backtrace.gdb_frame import Frame

_MAX_CYCLE = 12  # functions
_MIN_REPETITIONS = 3


def fold_frames(frames: Sequence[Frame]) -> Iterator[Frame | str]:
    """Yield the frames; of those that are repeated, the first ones only, and then a line that says how often."""
    keys = [frame.function or f"{frame.address}" for frame in frames]
    index = 0
    while index < len(frames):
        length, count = _repetition_at(keys, index)
        yield from frames[index : index + length]
        index += length
        if count > 1:
            skipped = length * (count - 1)
            what = "the frame above" if length == 1 else f"the {length} frames above"
            yield f"... {what} repeated {count - 1:,} times, up to #{frames[index + skipped - 1].level}"
            index += skipped


def _repetition_at(keys: Sequence[str], start: int) -> tuple[int, int]:
    """Return the length of the cycle that begins at `start`, and how often it occurs: (1, 1) if nothing is repeated."""
    for length in range(1, _MAX_CYCLE + 1):
        cycle = keys[start : start + length]
        count = 1
        while keys[start + count * length : start + (count + 1) * length] == cycle:
            count += 1
        if count >= _MIN_REPETITIONS:
            return length, count
    return 1, 1
