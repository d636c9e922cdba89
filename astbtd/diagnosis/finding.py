"""A finding: one thing that a rule has to say about a backtrace. The rules are in the modules named `*_findings`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from astbtd.diagnosis.crash_context import CrashContext
from astbtd.model.crash import Verdict

WORST_FIRST = (Verdict.UNUSABLE, Verdict.PARTIAL, Verdict.USABLE)
_MAX_NAMES = 3


@dataclass(frozen=True)
class Finding:
    """Why something is so, and what to do about it. `best` is the best verdict that the finding leaves possible."""

    reason: str
    advice: tuple[str, ...] = ()
    best: Verdict = Verdict.USABLE


FindingRule = Callable[[CrashContext], Finding | None]
"""Returns None if the rule does not apply."""


def list_names(names: Iterable[str]) -> str:
    """Return the first names, each once, and how many there are besides: `a.so, b.so, c.so and 2 more`."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(unique[:_MAX_NAMES])
    omitted = len(unique) - _MAX_NAMES
    return f"{shown} and {omitted} more" if omitted > 0 else shown


def count_frames(count: int, total: int) -> str:
    """Return `2 of 9 frames`; `the only frame` if there is just one."""
    return f"{count} of {total} frames" if total != 1 else "the only frame"
