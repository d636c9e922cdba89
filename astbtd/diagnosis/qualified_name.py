"""Adds the source file or the module to a function name that several modules have, such as `load_module`.

Without it, unrelated bugs would have the same headline and the same signature.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import plain_name, plain_object
from astbtd.diagnosis.word_lists import load_words

_MAX_STEM_LENGTH = 60


def qualify_name(name: str, frames: Iterable[Frame]) -> str:
    """Return the name, if it is ambiguous with the file of the innermost frame of that name: `reload (chan_iax2)`."""
    if name not in load_words("ambiguous"):
        return name
    for frame in frames:
        if frame.function and plain_name(frame.function) == name and (stem := _stem(frame)):
            return f"{name} ({stem})"
    return name


def _stem(frame: Frame) -> str | None:
    """Return the name of the source file without its suffix, or that of the module: they are mostly the same."""
    path = frame.file or (plain_object(frame.library) if frame.library else None)
    return PurePosixPath(path).name.partition(".")[0][:_MAX_STEM_LENGTH] if path else None
