"""The status line that `systemctl status astbtd` shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import counted, shown_size
from astbtd.model.crash import Crash
from astbtd.model.crash_loop import CrashLoop

_LONGEST = 1000  # characters; systemctl cuts longer ones at the terminal's edge anyway


@dataclass(frozen=True)
class Status:
    """All that the status line tells; `stored` in bytes, `problems` sentences for people.

    `more`: further cores wait where they lie, uncounted.
    """

    places: int
    crashes: int
    stored: int
    last: Crash | None
    waiting: int
    working_on: str | None
    problems: Sequence[str]
    more: bool = False


def line(status: Status) -> str:
    """The status as one line, what is wrong first; a second line would be a message of its own to systemd."""
    places = f"watching {counted(status.places, 'place', 'places')}"
    kept = f"{counted(status.crashes, 'crash', 'crashes')} kept ({shown_size(status.stored)})"
    parts = [*status.problems, places, kept, _last(status.last), _queue(status)]
    return printable_line("; ".join(part for part in parts if part))[:_LONGEST]


def crash_loop(loop: CrashLoop) -> str:
    """A crash loop that lasts, as one of the things that are wrong."""
    times = counted(loop.crashes, "crash", "crashes")
    return f"crash loop since {loop.since.astimezone():%Y-%m-%d %H:%M:%S}: {loop.what}, {times}"


def _last(last: Crash | None) -> str:
    if last is None:
        return ""
    return f"last crash {last.crashed_at.astimezone():%Y-%m-%d %H:%M:%S}: {last.what} ({last.diagnosis.verdict})"


def _queue(status: Status) -> str:
    now = f"examining {status.working_on}" if status.working_on else ""
    waiting = f"{counted(status.waiting, 'core', 'cores')} waiting" if status.waiting else ""
    waiting += " and more where they lie" if status.more else ""
    return ", ".join(part for part in (now, waiting) if part) or "idle"
