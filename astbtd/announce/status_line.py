"""The status line that `systemctl status astbtd` shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import format_local, format_size, pluralize
from astbtd.model.crash import Crash
from astbtd.model.crash_loop import CrashLoop

_MAX_LENGTH = 1000  # characters; systemctl cuts a line at the edge of the terminal anyway


@dataclass(frozen=True)
class Status:
    """The content of the status line.

    `directories` and `crashes` are counts, `stored` is in bytes. `last` is the last crash, `queued` the number of
    claimed cores, `processing` the id of the crash in work. `more`: further cores have not been claimed yet. `problems`
    are sentences for people.
    """

    directories: int
    crashes: int
    stored: int
    last: Crash | None
    queued: int
    processing: str | None
    problems: Sequence[str]
    more: bool = False


def format_status(status: Status) -> str:
    """Return the status as one line, problems first. It must be one line: systemd reads each as a separate message."""
    directories = f"watching {pluralize(status.directories, 'directory', 'directories')}"
    kept = f"{pluralize(status.crashes, 'crash', 'crashes')} kept ({format_size(status.stored)})"
    parts = [*status.problems, directories, kept]
    if status.last:
        parts.append(_format_crash(status.last))
    parts.append(_format_queue(status))
    return printable_line("; ".join(parts))[:_MAX_LENGTH]


def format_crash_loop(loop: CrashLoop) -> str:
    """Return a sentence about a current crash loop, as one of the problems."""
    crashes = pluralize(loop.crashes, "crash", "crashes")
    return f"crash loop since {format_local(loop.since)}: {loop.what}, {crashes}"


def _format_crash(crash: Crash) -> str:
    return f"last crash {format_local(crash.crashed_at)}: {crash.what} ({crash.diagnosis.verdict})"


def _format_queue(status: Status) -> str:
    parts = []
    if status.processing:
        parts.append(f"processing {status.processing}")
    if status.queued:
        parts.append(f"{pluralize(status.queued, 'core', 'cores')} queued")
    if status.more:
        parts.append("more cores not claimed yet")
    return ", ".join(parts) or "idle"
