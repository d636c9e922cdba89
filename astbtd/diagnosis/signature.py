"""Says what crashes of one bug have in common: the signal and the innermost functions that mean something.

The text is for people, innermost first: `SIGSEGV ast_stopstream < stream_thread < conf_run`. It leaves out all that
changes between two crashes of one bug: addresses, arguments, lines, threads, and how deep a recursion went.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from astbtd.diagnosis.frame import Frame
from astbtd.diagnosis.roles import Role, plain_name, plain_object, role
from astbtd.model import Signature

_FRAMES = 3
_LONGEST_NAME = 100
_NOTHING = "??"


def signature(signal: str | None, frames: Sequence[Frame]) -> Signature:
    """The signature of a crash by `signal` (a name, None if unknown) in a thread of these frames, innermost first."""
    names = _names(frames, _meaningful) or _names(frames, _machinery)
    text = " ".join(filter(None, (signal, " < ".join(names) or _NOTHING)))
    return Signature(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12], text)


def crash_function(frames: Sequence[Frame]) -> str | None:
    """The innermost function that is no machinery, None if none is named."""
    return next((plain_name(frame.function) for frame in frames if frame.function and role(frame) is Role.CODE), None)


def _names(frames: Sequence[Frame], name_of: Callable[[Frame], str | None]) -> list[str]:
    named = (name[:_LONGEST_NAME] for name in map(name_of, frames) if name)
    return list(islice(_once(named), _FRAMES))


def _meaningful(frame: Frame) -> str | None:
    """The name of code that may hold the bug; where it has none, of the object it is in."""
    part = role(frame)
    if part is Role.CODE and frame.function:
        return plain_name(frame.function)
    return plain_object(frame.library) if part is Role.UNKNOWN and frame.library else None


def _machinery(frame: Frame) -> str | None:
    return plain_name(frame.function) if frame.function and role(frame) is not Role.THREAD_START else None


def _once(names: Iterable[str]) -> Iterator[str]:
    """Each name where it first stands, so that a recursion looks the same however deep it went."""
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name
